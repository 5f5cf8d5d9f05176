"""Requests that are left after those in the reply cache, with the keys of a run."""

import json
from pathlib import Path
from typing import Any

import pytest

from delta.check import max_problems
from delta.core import paths, tables
from delta.core.fingerprint import read_fingerprint
from delta.core.schemas import TRACE
from delta.inference.engine import open_engine
from delta.inference.reply_cache import ReplyCache
from delta.inference.types import Reply
from delta.judging import judge
from delta.plan.pending import max_rated
from tests.helpers.plan_workspace import (
    MODEL,
    params_with,
    put,
    request_groups,
    stage,
    trace_requests,
    up_to_date,
    write_problems,
    write_traces,
)

VALUE = Reply("x", "stop", 3, 4)._asdict()


def test_a_read_only_cache_makes_no_folder_and_takes_no_lock(tmp_path: Path) -> None:
    with ReplyCache(tmp_path / "none", read_only=True) as cache:
        assert len(cache) == 0
    assert not (tmp_path / "none").exists()
    with ReplyCache(tmp_path / "cache") as cache:
        cache.put("a" * 64, VALUE)
        cache.put("b" * 64, VALUE | {"completion_tokens": -5})
        with ReplyCache(tmp_path / "cache", read_only=True, max_bytes=1_000) as reader:
            assert reader.reply("a" * 64) == Reply(**VALUE)
            assert reader.reply("b" * 64) is None


def test_cut_and_damaged_lines_count_as_missing(tmp_path: Path) -> None:
    with ReplyCache(tmp_path) as cache:
        for letter in "abc":
            cache.put(letter * 64, {"n": 1})
    (file,) = tmp_path.glob("*.log")
    content = bytearray(file.read_bytes())
    content[20] ^= 4
    file.write_bytes(content[:-1])
    with ReplyCache(tmp_path, read_only=True) as cache:
        assert [letter for letter in "abc" if cache.get(letter * 64)] == ["b"]
    assert file.read_bytes() == content[:-1]


def test_only_a_fraction_of_a_large_cache_is_read(tmp_path: Path) -> None:
    with ReplyCache(tmp_path) as cache:
        for number in range(10):
            cache.put(f"{number:064}", {"n": number})
    line = next(tmp_path.glob("*.log")).stat().st_size // 10
    with ReplyCache(tmp_path, read_only=True, max_bytes=3 * line) as cache:
        assert (len(cache), cache.fraction_read) == (3, 0.3)


def test_of_60_traces_7_are_cached_and_53_left_to_ask(workspace: Path) -> None:
    params, problems = params_with(), write_problems(10)
    put("generate-zero-shot", trace_requests(params, "zero-shot", problems)[:5])
    put("generate-one-shot", trace_requests(params, "one-shot", problems)[-2:])
    groups = request_groups(params, up_to_date("problems", f"fetch@{MODEL}"), "generate")
    assert [(group.total, group.cached, group.to_ask) for group in groups] == [
        (20, 5, 15),
        (20, 2, 18),
        (20, 0, 20),
    ]
    assert {group.basis for group in groups} == {"exact"}
    assert sum(group.to_ask or 0 for group in groups) == 53
    assert not (workspace / "replies" / "generate-three-shot").exists()


@pytest.mark.usefixtures("workspace")
def test_another_temperature_requests_everything_again() -> None:
    problems = write_problems(10)
    put("generate-zero-shot", trace_requests(params_with(), "zero-shot", problems))
    warmer = params_with(lambda p: p["generators"]["zero-shot"].update(temperature=0.9))
    (first, *_) = request_groups(warmer, up_to_date("problems", f"fetch@{MODEL}"), "generate")
    assert (first.cached, first.to_ask) == (0, 20)


@pytest.mark.usefixtures("workspace")
def test_an_item_that_is_up_to_date_has_no_requests() -> None:
    known = up_to_date("problems", f"fetch@{MODEL}", "generate@one-shot")
    write_problems(10)
    groups = request_groups(params_with(), known, "generate")
    assert [group.name for group in groups] == ["zero-shot", "three-shot"]


@pytest.mark.usefixtures("workspace")
def test_problems_that_are_not_drawn_yet_are_estimated_from_the_sample() -> None:
    problems = write_problems(10)
    put("generate-zero-shot", trace_requests(params_with(), "zero-shot", problems)[:5])
    larger = params_with(lambda p: p["problems"].update(sample=12))
    changed = stage("problems", changed=("params.yaml:problems",))._replace(state="runs")
    (first, *_) = request_groups(larger, {"problems": changed}, "generate")
    assert (first.total, first.cached, first.basis) == (24, 5, "estimate")


def test_a_dataset_without_a_sample_has_an_unknown_number_of_problems() -> None:
    data = {"file": {"path": "mine.jsonl", "sha256": "0" * 64}}
    source = {"table": {"data": data, "statement": "question", "gold_answer": None}}
    alone = params_with(lambda p: p["problems"].update(sources={"mine": source}))
    assert max_problems(alone.problems) is None
    drawn = params_with()
    assert max_problems(drawn.problems) == 16  # two tasks of eight


@pytest.mark.usefixtures("workspace")
def test_a_benchmark_is_estimated_by_its_size_or_is_unknown() -> None:
    def change(content: dict[str, Any]) -> None:
        first, second, *others = content["benchmarks"]
        for name in others:
            del content["benchmarks"][name]
        content["benchmarks"][first] |= {"samples": 16, "questions": 5}
        data = {"file": {"path": "mine.jsonl", "sha256": "0" * 64}}
        source = {"format": "math-500", "data": data}
        content["benchmarks"][second] |= {"source": source, "questions": None}

    groups = request_groups(params_with(change), {}, "evaluate")
    counts = [(group.total, group.basis) for group in groups]
    models = len(params_with(change).evaluation.models)
    assert counts == [(80, "estimate"), (None, "unknown")] * models


def with_judge(content: dict[str, Any]) -> None:
    content["judge"]["rater"] = "llm"
    content["judge"]["llm"] |= {"votes": 2, "max_attempts": 2}
    for budget in content["judge"]["budget"].values():
        budget |= {"any": 1, "correct": 0, "incorrect": 0}


@pytest.mark.usefixtures("workspace")
def test_a_vote_whose_only_reply_is_invalid_is_still_to_ask() -> None:
    params, problems = params_with(with_judge), write_problems(3)
    write_traces("zero-shot", problems, ["\\boxed{1}", "\\boxed{2}", "\\boxed{3}"])
    rated, _ = judge.judge_inputs(problems, tables.read(paths.traces("zero-shot"), TRACE))
    folder = paths.model(MODEL)
    engine = open_engine(params.engine, params.serving[MODEL], folder)
    fingerprint = read_fingerprint(folder)
    votes = [r for _, r in judge.build_requests(params.judge.llm, engine, fingerprint, rated)]
    put("judge-zero-shot", votes[:2], text="no JSON at all")
    known = up_to_date("problems", f"fetch@{MODEL}", "generate@zero-shot", "verify@zero-shot")
    (first, *_) = request_groups(params, known, "judge")
    assert (first.total, first.cached, first.to_ask) == (6, 0, 6)
    put("judge-zero-shot", votes[:1], text=VALID_VOTE)
    (first, *_) = request_groups(params, known, "judge")
    assert (first.total, first.cached, first.basis) == (6, 1, "exact")


VOTE = {"score": 4, "justification": "fine", "deductions_found": []}
VALID_VOTE = json.dumps(
    {
        "logic": dict.fromkeys(
            ("factuality", "strategy_coherence", "step_coherence", "computational_precision"), VOTE
        ),
        "brevity": {"signal_to_noise": VOTE},
    }
)


@pytest.mark.usefixtures("workspace")
def test_the_comparing_model_is_asked_about_rejected_boxes() -> None:
    params = params_with(lambda p: p["verify"].update(llm_fallback=True))
    problems = write_problems(3)
    write_traces("zero-shot", problems, ["\\boxed{1}", "\\boxed{7}", "\\boxed{8}"])
    known = up_to_date("problems", f"fetch@{MODEL}", "generate@zero-shot")
    (first, second, _) = request_groups(params, known, "verify")
    assert (first.total, first.basis) == (2, "estimate")
    assert second.total == 2  # 0.3 of 3 problems × 2 traces, which are not there yet


def test_rated_traces_are_bounded_by_budget_and_traces() -> None:
    budget = params_with(with_judge).judge.budget["zero-shot"]
    more = budget.model_copy(update={"any": 1, "correct": 1, "incorrect": 1})
    assert [max_rated(more, traces, "none") for traces in (8, 2)] == [3, 2]
    assert max_rated(more, 8, "chosen") == 6  # finished ones besides

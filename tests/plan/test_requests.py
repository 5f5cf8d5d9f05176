"""What is left to ask after what the store has, counted by the requests of a run."""

import json
from pathlib import Path
from typing import Any

import pytest

from delta.core import fingerprint as weights
from delta.core import paths, tables
from delta.core.schemas import TRACE
from delta.inference.model_client import open_engine
from delta.inference.reply_cache import ReplyCache
from delta.inference.types import Reply
from delta.judging import judge
from delta.plan.cache import held
from delta.plan.pending import expected_problems, max_rated
from tests.helpers.plan_workspace import (
    MODEL,
    enter,
    items_of,
    params_with,
    put,
    stage,
    traces_of,
    up_to_date,
    write_problems,
    write_traces,
)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return enter(tmp_path, monkeypatch)


KEPT = Reply("x", "stop", 3, 4)._asdict()


def test_looking_into_the_store_makes_no_folder_and_takes_no_lock(tmp_path: Path) -> None:
    assert held(tmp_path / "none", 1_000).places == {}
    assert not (tmp_path / "none").exists()
    with ReplyCache(tmp_path / "shelf") as shelf:
        shelf.put("a" * 64, KEPT)
        shelf.put("b" * 64, KEPT | {"completion_tokens": -5})
        looked_at = held(tmp_path / "shelf", 1_000)  # while it is locked
        assert looked_at.get("a" * 64) == KEPT
        assert looked_at.get("b" * 64) is None


def test_torn_and_damaged_lines_count_as_missing(tmp_path: Path) -> None:
    with ReplyCache(tmp_path) as shelf:
        for letter in "abc":
            shelf.put(letter * 64, {"n": 1})
    (file,) = tmp_path.glob("*.log")
    content = bytearray(file.read_bytes())
    content[20] ^= 4
    file.write_bytes(content[:-1])
    assert list(held(tmp_path, 10_000).places) == ["b" * 64]


def test_of_a_long_shelf_a_part_is_read_and_the_share_is_told(tmp_path: Path) -> None:
    with ReplyCache(tmp_path) as shelf:
        for number in range(10):
            shelf.put(f"{number:064}", {"n": number})
    line = next(tmp_path.glob("*.log")).stat().st_size // 10
    found = held(tmp_path, 3 * line)
    assert (len(found.places), found.share) == (3, 0.3)


def test_of_60_traces_7_are_stored_and_53_left_to_ask(workspace: Path) -> None:
    params, problems = params_with(), write_problems(10)
    put("generate-zero-shot", traces_of(params, "zero-shot", problems)[:5])
    put("generate-one-shot", traces_of(params, "one-shot", problems)[-2:])
    asked = items_of(params, up_to_date("problems", f"fetch@{MODEL}"), "generate")
    assert [(one.found.total, one.found.kept, one.to_ask) for one in asked] == [
        (20, 5, 15),
        (20, 2, 18),
        (20, 0, 20),
    ]
    assert {one.found.basis for one in asked} == {"exact"}
    assert sum(one.to_ask or 0 for one in asked) == 53
    assert not (workspace / "store" / "generate-three-shot").exists()


@pytest.mark.usefixtures("workspace")
def test_another_temperature_asks_everything_again() -> None:
    problems = write_problems(10)
    put("generate-zero-shot", traces_of(params_with(), "zero-shot", problems))
    warmer = params_with(lambda p: p["generators"]["zero-shot"].update(temperature=0.9))
    (first, *_) = items_of(warmer, up_to_date("problems", f"fetch@{MODEL}"), "generate")
    assert (first.found.kept, first.to_ask) == (0, 20)


@pytest.mark.usefixtures("workspace")
def test_an_item_that_is_up_to_date_asks_nothing() -> None:
    known = up_to_date("problems", f"fetch@{MODEL}", "generate@one-shot")
    write_problems(10)
    asked = items_of(params_with(), known, "generate")
    assert [one.name for one in asked] == ["zero-shot", "three-shot"]


@pytest.mark.usefixtures("workspace")
def test_problems_that_have_yet_to_be_drawn_are_estimated_from_the_sample() -> None:
    problems = write_problems(10)
    put("generate-zero-shot", traces_of(params_with(), "zero-shot", problems)[:5])
    larger = params_with(lambda p: p["problems"].update(sample=12))
    moved = stage("problems", changed=("params.yaml:problems",))._replace(state="runs")
    (first, *_) = items_of(larger, {"problems": moved}, "generate")
    assert (first.found.total, first.found.kept, first.found.basis) == (24, 5, "estimate")


def test_a_dataset_without_a_sample_has_an_unknown_number_of_problems() -> None:
    data = {"file": {"path": "mine.jsonl", "sha256": "0" * 64}}
    source = {"table": {"data": data, "statement": "question", "gold_answer": None}}
    alone = params_with(lambda p: p["problems"].update(sources={"mine": source}))
    assert expected_problems(alone.problems) is None
    drawn = params_with()
    assert expected_problems(drawn.problems) == 16  # two tasks of eight


@pytest.mark.usefixtures("workspace")
def test_a_benchmark_is_estimated_by_its_size_or_not_at_all() -> None:
    def change(content: dict[str, Any]) -> None:
        first, second, *others = content["benchmarks"]
        for name in others:
            del content["benchmarks"][name]
        content["benchmarks"][first] |= {"samples": 16, "questions": 5}
        data = {"file": {"path": "mine.jsonl", "sha256": "0" * 64}}
        source = {"format": "math-500", "data": data}
        content["benchmarks"][second] |= {"source": source, "questions": None}

    asked = items_of(params_with(change), {}, "evaluate")
    found = [(one.found.total, one.found.basis) for one in asked]
    models = len(params_with(change).evaluation.models)
    assert found == [(80, "estimate"), (None, "unknown")] * models


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
    fingerprint = weights.read_fingerprint(folder)
    votes = [r for _, r in judge.build_requests(params.judge.llm, engine, fingerprint, rated)]
    put("judge-zero-shot", votes[:2], text="no JSON at all")
    known = up_to_date("problems", f"fetch@{MODEL}", "generate@zero-shot", "verify@zero-shot")
    (first, *_) = items_of(params, known, "judge")
    assert (first.found.total, first.found.kept, first.to_ask) == (6, 0, 6)
    put("judge-zero-shot", votes[:1], text=VALID_VOTE)
    (first, *_) = items_of(params, known, "judge")
    assert (first.found.total, first.found.kept, first.found.basis) == (6, 1, "exact")


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
def test_the_comparing_model_is_asked_about_boxes_that_were_not_accepted() -> None:
    params = params_with(lambda p: p["verify"].update(llm_fallback=True))
    problems = write_problems(3)
    write_traces("zero-shot", problems, ["\\boxed{1}", "\\boxed{7}", "\\boxed{8}"])
    known = up_to_date("problems", f"fetch@{MODEL}", "generate@zero-shot")
    (first, second, _) = items_of(params, known, "verify")
    assert (first.found.total, first.found.basis) == (2, "estimate")
    assert second.found.total == 2  # 0.3 of 3 problems × 2 traces, which are not there yet


def test_the_budget_bounds_what_is_rated_by_the_traces_there_are() -> None:
    budget = params_with(with_judge).judge.budget["zero-shot"]
    more = budget.model_copy(update={"any": 1, "correct": 1, "incorrect": 1})
    assert [max_rated(more, traces, "none") for traces in (8, 2)] == [3, 2]
    assert max_rated(more, 8, "chosen") == 6  # finished ones besides

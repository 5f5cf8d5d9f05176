"""Every stage that reads or exports problems gets all turns of users' conversations."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from delta.check import check
from delta.core.errors import InputError
from delta.core.schemas import HISTORY, QUESTION
from delta.core.tables import frame_of
from delta.evaluation.benchmarks import BenchmarkParams
from delta.evaluation.config import EvaluationSampling
from delta.evaluation.evaluate import build_requests as benchmark_requests
from delta.evaluation.questions import question_batches
from delta.export.dataset import write_dataset
from delta.inference import chat_formats
from delta.inference.generate import SampledParams, trace_requests
from delta.judging import judge
from delta.report.viewer import pair_page
from delta.training import dataset
from tests.helpers.character_tokenizer import CharacterTokenizer, text_of, trace_columns
from tests.helpers.example_pairs import RUN, example_pairs, viewer_data
from tests.helpers.import_closure import ROOT
from tests.helpers.scripted_server import engine_at
from tests.helpers.tiny_models import train_params
from tests.helpers.toy_export import exported_rows, toy_card_facts
from tests.helpers.user_tables import (
    CHATS,
    build_from_table,
    turns_of,
    write_table,
)


@pytest.fixture
def chats(tmp_path: Path) -> pl.DataFrame:
    return build_from_table(
        write_table(tmp_path / "chats.jsonl", [{"prompt": chat} for chat in CHATS])
    )[0]


def test_a_generator_gets_every_turn(chats: pl.DataFrame) -> None:
    params = check(ROOT / "profiles" / "smoke.yaml").generators["zero-shot"]
    assert isinstance(params, SampledParams)
    engine = engine_at("http://127.0.0.1:1/v1")
    one_each = params.model_copy(update={"samples": 1})
    messages = [
        json.loads(request.prompt)["messages"]
        for _, request in trace_requests(one_each, engine, "m", chats)
    ]
    assert messages == list(CHATS)
    shots = one_each.model_copy(update={"examples": 1})
    (_, first), *_ = trace_requests(shots, engine, "m", chats)
    roles = [turn["role"] for turn in json.loads(first.prompt)["messages"]]
    assert roles == ["system", "user", "assistant", "user", "assistant", "user"]


def test_a_files_system_prompt_follows_the_chat_formats_own() -> None:
    nemotron, plain = (
        chat_formats.load("nemotron"),
        chat_formats.load("plain"),
    )
    history = turns_of("system: Answer in French.", "user: Hm?", "assistant: Oui.")
    assert nemotron.messages("Why?", history=history) == [
        {"role": "system", "content": "detailed thinking on\n\nAnswer in French."},
        *turns_of("user: Hm?", "assistant: Oui.", "user: Why?"),
    ]
    assert plain.messages("Why?", history=history) == [*history, *turns_of("user: Why?")]
    assert plain.messages("Why?") == turns_of("user: Why?")


def test_a_policy_is_trained_on_every_turn(chats: pl.DataFrame) -> None:
    pairs = pl.DataFrame(
        [
            row
            | {"pair_id": row["problem_id"], "chosen": trace_columns("good", "stop")}
            | {"rejected": trace_columns("bad", "stop")}
            for row in chats.select("problem_id", "prompt", "history").iter_rows(named=True)
        ],
        schema_overrides={"history": HISTORY},
    )
    params = train_params(max_length=500)
    tokenized, _ = dataset.tokenize_pairs(
        params, chat_formats.load("plain"), pairs, CharacterTokenizer()
    )
    assert [text_of(row["prompt_ids"]) for row in tokenized] == [
        "[system]Answer in French.[user]What is 2 + 2?[assistant]4[user]Why?[assistant]",
        "[user]What is 3 + 3?[assistant]6[user]Why?[assistant]",
        "[system]Answer in German.[user]Why?[assistant]",
        "[user]Why?[assistant]",
    ]


def test_a_judge_gets_every_turn_or_the_single_statement(
    chats: pl.DataFrame,
) -> None:
    run = example_pairs([("a", "b")] * 4)
    traces = run.traces[0].collect().filter(pl.col("sample") == 0)
    traces = traces.with_columns(problem_id=chats["problem_id"])
    subjects, _ = judge.judge_inputs(chats, traces)
    assert [subject.statement for subject in subjects] == [
        "[system]\nAnswer in French.\n\n[user]\nWhat is 2 + 2?\n\n[assistant]\n4\n\n[user]\nWhy?",
        "[user]\nWhat is 3 + 3?\n\n[assistant]\n6\n\n[user]\nWhy?",
        "[system]\nAnswer in German.\n\n[user]\nWhy?",
        "Why?",
    ]


def test_export_and_pair_viewer_have_every_turn(tmp_path: Path, chats: pl.DataFrame) -> None:
    run = example_pairs([("a", "b")] * 4)
    problems = chats.with_columns(problem_id=run.problems["problem_id"])
    run = run._replace(problems=problems)
    write_dataset(tmp_path / "out", toy_card_facts(), run.selected, run.problems, run.traces)
    prompts = [row["prompt"] for row in exported_rows(tmp_path / "out", "preference")]
    assert prompts == list(CHATS)
    single = exported_rows(tmp_path / "out", "unpaired")
    assert all(row["prompt"] in CHATS for row in single)
    pair_page.write(tmp_path / "pairs", RUN, *run)
    records = viewer_data(tmp_path, "index")["problems"]
    assert [entry["history"] for entry in records] == [entry[:-1] for entry in CHATS]


def read_benchmark(path: Path, table: list[dict[str, Any]]) -> tuple[pl.DataFrame, Counter[str]]:
    data = write_table(path, table)
    columns: dict[str, Any] = {"format": "columns", "data": data.model_dump(exclude_none=True)}
    columns |= {"statement": "prompt", "gold_answer": "gold", "grader": "math", "options": None}
    entry: dict[str, Any] = {
        "group": "easy",
        "samples": 1,
        "max_tokens": 9,
        "questions": None,
        "source": columns,
    }
    counts = Counter[str]()
    params = BenchmarkParams.model_validate(entry)
    frame = pl.concat(question_batches("own", params, counts))
    return frame, counts


def test_a_benchmark_asks_every_turn_and_counts_dropped_rows(tmp_path: Path) -> None:
    picture = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]
    table = [{"prompt": prompt, "gold": "1"} for prompt in (*CHATS, picture, "Bare?")]
    frame, counts = read_benchmark(tmp_path / "own.jsonl", table)
    assert (counts["kept"], counts["not_text"], counts["repeated"]) == (5, 1, 0)
    assert frame["history"].to_list() == [*(chat[:-1] for chat in CHATS), []]
    requests = benchmark_requests(
        EvaluationSampling(temperature=0.0, top_p=1.0, seed=1),
        BenchmarkParams.model_validate(
            {"group": "easy", "samples": 1, "max_tokens": 9, "questions": 1}
            | {"source": {"format": "task", "task": "chain_sum", "seed": 1, "options": {}}}
        ),
        engine_at("http://127.0.0.1:1/v1"),
        "m",
        0,
        frame,
    )
    first = json.loads(requests[0][1].prompt)["messages"]
    assert first[:3] == CHATS[0][:3]
    assert first[3]["content"].endswith("\\boxed{}.\n\nWhy?")


def test_a_whole_conversation_or_a_single_turn_matches_a_benchmark(tmp_path: Path) -> None:
    data = write_table(tmp_path / "chats.jsonl", [{"prompt": chat} for chat in CHATS])
    history = CHATS[1][:-1]
    row = {"question_id": "q", "prompt": "Why?", "gold_answer": "1", "grader": "math"}
    row["metadata"] = "{}"

    def kept(**question: Any) -> list[str]:
        questions = {"own": frame_of([row | question], QUESTION)}
        return [name[-1] for name in build_from_table(data, questions)[0]["problem_id"]]

    assert kept(statement="Why?", history=history) == ["0", "2", "3"]
    assert kept(statement="What is 3 + 3?", history=[]) == ["0", "2", "3"]
    assert kept(statement="What is 3 + 3? 6", history=[]) == ["0", "1", "2", "3"]
    with pytest.raises(InputError, match="0 of 4 problems remain"):
        kept(statement="Why?", history=[])  # each ends in a turn that the benchmark asks


def test_a_conversation_that_the_template_refuses_is_a_one_line_error(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    from tests.helpers.tiny_model_families import write_tokenizer

    write_tokenizer(tmp_path, "plain")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    tokenizer.chat_template = (
        "{% if messages[0].role == 'system' %}{{ raise_exception('no system prompt') }}{% endif %}"
    )
    plain = chat_formats.load("plain")
    with pytest.raises(InputError) as caught:
        plain.render(tokenizer, plain.messages("Why?", history=turns_of("system: Be brief.")))
    assert str(caught.value) == (
        f"{tmp_path}: its chat template: TemplateError: no system prompt (turns: system, user; "
        "the last is 'Why?')"
    )

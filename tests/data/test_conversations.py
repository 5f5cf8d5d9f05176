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
from delta.data import user_tables
from delta.data.problems import ProblemSource, ProblemsParams, build_problems
from delta.data.sources import DataSource
from delta.data.user_tables import TableProblems, TableTraces
from delta.evaluation.benchmarks import BenchmarkParams
from delta.evaluation.config import EvaluationSampling
from delta.evaluation.evaluate import build_requests as benchmark_requests
from delta.evaluation.questions import question_batches
from delta.export.dataset import write_dataset
from delta.inference import chat_formats
from delta.inference.generate import SampledParams, trace_requests
from delta.judging import judge
from delta.report import pair_viewer
from delta.training import dataset
from tests.export.test_export import exported_rows, toy_provenance
from tests.helpers.character_tokenizer import CharacterTokenizer, text_of, trace_columns
from tests.helpers.example_pairs import RUN, example_pairs
from tests.helpers.import_closure import ROOT
from tests.helpers.openr1_rows import local_source
from tests.helpers.scripted_server import engine_at
from tests.helpers.tiny_models import train_params
from tests.report.test_pair_viewer import content

Messages = list[dict[str, Any]]


def turns_of(*turns: str) -> Messages:
    """Return messages from texts such as "user: Why?"."""
    return [dict(zip(("role", "content"), turn.split(": ", 1), strict=True)) for turn in turns]


def write_jsonl(path: Path, *table: dict[str, Any]) -> DataSource:
    path.write_text("".join(json.dumps(row) + "\n" for row in table))
    return local_source(path)


def build_from_table(
    data: DataSource, asked: dict[str, pl.DataFrame] | None = None, **changes: Any
) -> tuple[pl.DataFrame, dict[str, Any]]:
    words = changes.pop("overlap_words", None)
    table = TableProblems(data=data, statement="prompt", gold_answer=None)
    source = ProblemSource(table=table, **changes)
    params = ProblemsParams(sources={"mine": source}, overlap_words=words, sample=None, seed=1)
    problems, _, counts = build_problems(params, asked or {})
    return problems, counts


def read_traces_of(data: DataSource, text: str, statement: str = "prompt") -> list[Any]:
    params = TableTraces(data=data, statement=statement, text=text, outcome=None, where={})
    return list(user_tables.read_traces("key", "mine", params))


CHATS = (
    turns_of("system: Answer in French.", "user: What is 2 + 2?", "assistant: 4", "user: Why?"),
    turns_of("user: What is 3 + 3?", "assistant: 6", "user: Why?"),
    turns_of("system: Answer in German.", "user: Why?"),
    turns_of("user: Why?"),
)


@pytest.fixture
def chats(tmp_path: Path) -> pl.DataFrame:
    return build_from_table(
        write_jsonl(tmp_path / "chats.jsonl", *({"prompt": chat} for chat in CHATS))
    )[0]


def test_conversations_with_the_same_last_turn_are_different_problems(
    chats: pl.DataFrame,
) -> None:
    assert chats["statement"].to_list() == ["Why?"] * 4
    whole = [
        [*row["history"], {"role": "user", "content": row["statement"]}]
        for row in chats.iter_rows(named=True)
    ]
    assert whole == list(CHATS)


def test_the_same_conversation_twice_is_one_problem(tmp_path: Path) -> None:
    other_form = [{"role": "user", "content": [{"type": "text", "text": "Why?"}]}]
    same: list[Any] = [*CHATS, CHATS[1], "Why?", other_form]
    table = [{"prompt": prompt} for prompt in same]
    problems, counts = build_from_table(write_jsonl(tmp_path / "chats.jsonl", *table))
    assert problems.height == 4
    assert counts["dropped"] == {"same_problem": 3}


def test_prompts_that_differ_in_case_or_blanks_are_different_problems(
    tmp_path: Path,
) -> None:
    asked = ["What is polish?", "What is Polish?", "if a:\n  b\nc", "if a:\n  b\n  c", "$5", "5"]
    problems, counts = build_from_table(
        write_jsonl(tmp_path / "t.jsonl", *({"prompt": prompt} for prompt in asked))
    )
    assert problems["prompt"].to_list() == asked
    assert counts["dropped"] == {}


def test_a_prompt_of_another_source_is_a_duplicate(tmp_path: Path) -> None:
    tables: dict[str, dict[str, dict[str, Any]]] = {
        name: {
            "table": {
                "data": write_jsonl(tmp_path / f"{name}.jsonl", *({"prompt": p} for p in rows))
            }
        }
        for name, rows in (("a", ["One?", "Two?"]), ("b", ["one? ", "Three?"]))
    }
    for source in tables.values():
        source["table"] |= {"statement": "prompt", "gold_answer": None}
    content = {"sources": tables, "overlap_words": None, "sample": None, "seed": 1}
    problems, _, counts = build_problems(ProblemsParams.model_validate(content), {})
    assert problems["problem_id"].to_list() == ["a.0", "a.1", "b.1"]
    assert counts["dropped"] == {"duplicate": 1}


@pytest.mark.parametrize("end", ["<|im_end|>", "</s>\n", "<end_of_turn>\n<eos>"])
def test_the_history_has_no_end_of_turn_markup(tmp_path: Path, end: str) -> None:
    before = turns_of("user: What is 3 + 3?", f"assistant: 6{end}")
    asked = [*before, *turns_of("user: Why?")]
    data = write_jsonl(
        tmp_path / "t.jsonl",
        {"prompt": asked, "chosen": [*asked, *turns_of(f"assistant: So.{end}")]},
    )
    (row,) = build_from_table(data)[0].to_dicts()
    assert row["history"] == turns_of("user: What is 3 + 3?", "assistant: 6")
    (trace_,) = read_traces_of(data, "chosen")
    assert trace_["text"] == f"So.{end}"  # recorded to the letter, taken off where it is trained


def test_a_generator_gets_every_turn(chats: pl.DataFrame) -> None:
    params = check(ROOT / "profiles" / "smoke.yaml").generators["zero-shot"]
    assert isinstance(params, SampledParams)
    engine = engine_at("http://127.0.0.1:1/v1")
    one_each = params.model_copy(update={"samples": 1})
    asked = [
        json.loads(request.prompt)["messages"]
        for _, request in trace_requests(one_each, engine, "m", chats)
    ]
    assert asked == list(CHATS)
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
    asked = chats.with_columns(problem_id=run.problems["problem_id"])
    run = run._replace(problems=asked)
    write_dataset(tmp_path / "out", toy_provenance(), run.selected, run.problems, run.traces)
    prompts = [row["prompt"] for row in exported_rows(tmp_path / "out", "preference")]
    assert prompts == list(CHATS)
    single = exported_rows(tmp_path / "out", "unpaired")
    assert all(row["prompt"] in CHATS for row in single)
    pair_viewer.write(tmp_path / "pairs", RUN, *run)
    records = content(tmp_path, "index")["problems"]
    assert [entry["history"] for entry in records] == [entry[:-1] for entry in CHATS]


def read_benchmark(path: Path, *table: dict[str, Any]) -> tuple[pl.DataFrame, Counter[str]]:
    data = write_jsonl(path, *table)
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
    frame, counts = read_benchmark(tmp_path / "own.jsonl", *table)
    assert (counts["kept"], counts["not_text"], counts["repeated"]) == (5, 1, 0)
    assert frame["history"].to_list() == [*(chat[:-1] for chat in CHATS), []]
    asked = benchmark_requests(
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
    first = json.loads(asked[0][1].prompt)["messages"]
    assert first[:3] == CHATS[0][:3]
    assert first[3]["content"].endswith("\\boxed{}.\n\nWhy?")


def test_a_whole_conversation_or_a_single_turn_matches_a_benchmark(tmp_path: Path) -> None:
    data = write_jsonl(tmp_path / "chats.jsonl", *({"prompt": chat} for chat in CHATS))
    history = CHATS[1][:-1]
    row = {"question_id": "q", "prompt": "Why?", "gold_answer": "1", "grader": "math"}
    row["metadata"] = "{}"

    def kept(**question: Any) -> list[str]:
        asked = {"own": frame_of([row | question], QUESTION)}
        return [name[-1] for name in build_from_table(data, asked)[0]["problem_id"]]

    assert kept(statement="Why?", history=history) == ["0", "2", "3"]
    assert kept(statement="What is 3 + 3?", history=[]) == ["0", "2", "3"]
    assert kept(statement="What is 3 + 3? 6", history=[]) == ["0", "1", "2", "3"]
    with pytest.raises(InputError, match="0 of 4 problems remain"):
        kept(statement="Why?", history=[])  # each ends in a turn that the benchmark asks


CALL = {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}
UNSUPPORTED: dict[str, tuple[Any, str]] = {
    "a tool call": ([*turns_of("user: a"), CALL, *turns_of("user: b")], "tool_calls"),
    "a tool call without a content": (
        [
            *turns_of("user: a"),
            {"role": "assistant", "tool_calls": [{"id": "1"}]},
            *turns_of("user: b"),
        ],
        "tool_calls",
    ),
    "a tool's turn": (turns_of("user: a", "tool: 7", "user: b"), "tool_calls"),
    "a picture": ([{"role": "user", "content": [{"type": "image"}]}], "not_text"),
    "a text beside a picture": (
        [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image"}]}],
        "not_text",
    ),
    "a picture beside the text": (
        [{"role": "user", "content": "<image> What?", "images": ["a.png"]}],
        "not_text",
    ),
    "nobody who asks": (turns_of("system: a"), "no_statement"),
    "a system prompt at the end": (turns_of("user: a", "system: b"), "no_statement"),
    "an empty question": (turns_of("user: a", "assistant: b", "user:  "), "no_statement"),
}


@pytest.mark.parametrize("case", UNSUPPORTED)
def test_an_unsupported_conversation_is_dropped_with_its_reason(tmp_path: Path, case: str) -> None:
    prompt, reason = UNSUPPORTED[case]
    table = [{"prompt": prompt, "chosen": "x"}, {"prompt": "Fine?", "chosen": "y"}]
    data = write_jsonl(tmp_path / "t.jsonl", *table)
    problems, counts = build_from_table(data)
    assert problems["statement"].to_list() == ["Fine?"]
    assert counts["dropped"] == {reason: 1}
    assert [
        item if isinstance(item, str) else item["text"] for item in read_traces_of(data, "chosen")
    ] == [
        reason,
        "y",
    ]


INVALID: dict[str, tuple[Any, str]] = {
    "an unknown role": (
        turns_of("narrator: Once.", "user: And?"),
        "role 'narrator'; expected one of system,",
    ),
    "a role that is a list": (
        [{"role": ["user"], "content": "a"}],
        "role ['user']; expected one of s",
    ),
    "ShareGPT": (
        [{"from": "human", "value": "a"}],
        "holds a list; expected messages with role and content; one has 'from', 'value'",
    ),
}


@pytest.mark.parametrize("case", INVALID)
def test_a_cell_that_is_no_message_is_an_error(tmp_path: Path, case: str) -> None:
    prompt, why = INVALID[case]
    data = write_jsonl(tmp_path / "t.jsonl", {"prompt": prompt})
    with pytest.raises(InputError) as caught:
        build_from_table(data)
    assert f"row 0: prompt: {why}" in str(caught.value)


A, B = turns_of("user: a"), turns_of("user: a", "assistant: b", "user: c")
REPLIES: dict[str, tuple[Any, Any, str]] = {
    "its last turn": (A, turns_of("assistant: x"), "x"),
    "after the conversation itself": (B, [*B, *turns_of("assistant: x")], "x"),
    "a text's conversation": ("a", [*A, *turns_of("assistant: x")], "x"),
    "after another conversation": (A, [*B, *turns_of("assistant: x")], "other_conversation"),
    "after a part of it": (B, [*A, *turns_of("assistant: x")], "other_conversation"),
    "several turns": (A, turns_of("assistant: x", "user: y", "assistant: z"), "other_conversation"),
    "a turn that was begun": ([*A, *turns_of("assistant: The")], "answer", "continues_a_turn"),
    "the user's turn": (A, turns_of("assistant: x", "user: y"), "no_text"),
    "an end of turn alone": (A, turns_of("assistant: <|im_end|>"), "no_text"),
    "reasoning in a field of its own": (
        A,
        [{"role": "assistant", "content": "x", "reasoning_content": "hm"}],
        "reasoning_apart",
    ),
}


@pytest.mark.parametrize("case", REPLIES)
def test_a_trace_answers_only_the_conversation_of_its_row(tmp_path: Path, case: str) -> None:
    prompt, chosen, expected = REPLIES[case]
    (trace,) = read_traces_of(
        write_jsonl(tmp_path / "t.jsonl", {"prompt": prompt, "chosen": chosen}), "chosen"
    )
    assert (trace if isinstance(trace, str) else trace["text"]) == expected


def test_a_file_without_prompts_has_them_in_both_sides(tmp_path: Path) -> None:
    row = {side: [*B, *turns_of(f"assistant: {side}")] for side in ("chosen", "rejected")}
    data = write_jsonl(tmp_path / "t.jsonl", row)
    texts = [read_traces_of(data, side, statement="chosen")[0]["text"] for side in row]
    assert texts == ["chosen", "rejected"]


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


@pytest.mark.parametrize(
    ("instruction", "prompt"),
    [
        ({}, "Bare?"),
        ({"instruction": "none"}, "Bare?"),
        (
            {"instruction": "boxed"},
            "Please reason step by step, and put your final answer within \\boxed{}.\n\nBare?",
        ),
    ],
)
def test_a_tables_prompts_get_the_instruction_only_on_request(
    tmp_path: Path, instruction: dict[str, Any], prompt: str
) -> None:
    data = write_jsonl(tmp_path / "t.jsonl", {"prompt": "Bare?"})
    assert build_from_table(data, **instruction)[0]["prompt"].to_list() == [prompt]


def test_other_problems_get_the_instruction_by_default() -> None:
    task = {"task": "chain_sum", "seed": 1, "problems": 1, "options": {}}
    for instruction, begins in ((None, True), ("none", False)):
        source = ProblemSource.model_validate({"task": task, "instruction": instruction})
        params = ProblemsParams(sources={"s": source}, overlap_words=None, sample=None, seed=1)
        (row,) = build_problems(params, {})[0].to_dicts()
        assert row["prompt"].startswith("Please reason") == begins
        assert row["prompt"].endswith(row["statement"])

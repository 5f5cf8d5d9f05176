"""Cells of users' tables hold texts or conversations; what is neither is dropped or refused."""

from pathlib import Path
from typing import Any

import pytest

from delta.core.errors import InputError
from delta.data import user_tables
from delta.data.problems import ProblemSource, ProblemsParams, build_problems
from delta.data.sources import DataSource
from delta.data.user_tables import TableTraces
from tests.helpers.user_tables import (
    CHATS,
    build_from_table,
    turns_of,
    write_table,
)


def read_traces_of(data: DataSource, text: str, statement: str = "prompt") -> list[Any]:
    params = TableTraces(data=data, statement=statement, text=text, outcome=None, where={})
    return list(user_tables.read_traces("key", "mine", params))


def test_conversations_with_the_same_last_turn_are_different_problems(tmp_path: Path) -> None:
    data = write_table(tmp_path / "chats.jsonl", [{"prompt": chat} for chat in CHATS])
    chats, _ = build_from_table(data)
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
    problems, counts = build_from_table(write_table(tmp_path / "chats.jsonl", table))
    assert problems.height == 4
    assert counts["dropped"] == {"same_problem": 3}


def test_prompts_that_differ_in_case_or_blanks_are_different_problems(
    tmp_path: Path,
) -> None:
    texts = ["What is polish?", "What is Polish?", "if a:\n  b\nc", "if a:\n  b\n  c", "$5", "5"]
    problems, counts = build_from_table(
        write_table(tmp_path / "t.jsonl", [{"prompt": prompt} for prompt in texts])
    )
    assert problems["prompt"].to_list() == texts
    assert counts["dropped"] == {}


def test_a_prompt_of_another_source_is_a_duplicate(tmp_path: Path) -> None:
    tables: dict[str, dict[str, dict[str, Any]]] = {
        name: {
            "table": {
                "data": write_table(tmp_path / f"{name}.jsonl", [{"prompt": p} for p in rows])
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
    prompt = [*before, *turns_of("user: Why?")]
    row = {"prompt": prompt, "chosen": [*prompt, *turns_of(f"assistant: So.{end}")]}
    data = write_table(tmp_path / "t.jsonl", [row])
    (problem,) = build_from_table(data)[0].to_dicts()
    assert problem["history"] == turns_of("user: What is 3 + 3?", "assistant: 6")
    (trace,) = read_traces_of(data, "chosen")
    assert trace["text"] == f"So.{end}"  # recorded to the letter, taken off where it is trained


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
    data = write_table(tmp_path / "t.jsonl", table)
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
    data = write_table(tmp_path / "t.jsonl", [{"prompt": prompt}])
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
        write_table(tmp_path / "t.jsonl", [{"prompt": prompt, "chosen": chosen}]), "chosen"
    )
    assert (trace if isinstance(trace, str) else trace["text"]) == expected


def test_a_file_without_prompts_has_them_in_both_sides(tmp_path: Path) -> None:
    row = {side: [*B, *turns_of(f"assistant: {side}")] for side in ("chosen", "rejected")}
    data = write_table(tmp_path / "t.jsonl", [row])
    texts = [read_traces_of(data, side, statement="chosen")[0]["text"] for side in row]
    assert texts == ["chosen", "rejected"]


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
    data = write_table(tmp_path / "t.jsonl", [{"prompt": "Bare?"}])
    assert build_from_table(data, **instruction)[0]["prompt"].to_list() == [prompt]


def test_other_problems_get_the_instruction_by_default() -> None:
    task = {"task": "chain_sum", "seed": 1, "problems": 1, "options": {}}
    for instruction, begins in ((None, True), ("none", False)):
        source = ProblemSource.model_validate({"task": task, "instruction": instruction})
        params = ProblemsParams(sources={"s": source}, overlap_words=None, sample=None, seed=1)
        (row,) = build_problems(params, {})[0].to_dicts()
        assert row["prompt"].startswith("Please reason") == begins
        assert row["prompt"].endswith(row["statement"])

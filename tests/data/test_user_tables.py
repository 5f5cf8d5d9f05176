"""The problems of users' tables have the ids of their rows; a table that differs is refused."""

from pathlib import Path
from typing import Any

import pytest

from delta.core.errors import InputError
from delta.data.problems import ProblemSource, build_problems
from delta.data.sources import DataSource, LocalFiles
from tests.helpers.user_tables import (
    problems_params,
    table_source,
    turns_of,
    write_table,
)


@pytest.mark.parametrize("name", ["mine.jsonl", "mine.parquet", "mine.csv"])
def test_a_problem_has_the_index_of_its_first_row(tmp_path: Path, name: str) -> None:
    rows = [
        {"q": "One?", "a": "1", "x": "never read"},
        {"q": "", "a": "1", "x": ""},
        {"q": "Two?", "a": "2", "x": ""},
        {"q": "One?", "a": "1", "x": ""},
        {"q": "Three?", "a": "", "x": ""},
        {"q": "one? ", "a": "1", "x": ""},
    ]
    data = write_table(tmp_path / name, rows)
    params = problems_params(sources={"mine": table_source(data, statement="q", gold_answer="a")})
    problems, _, counts = build_problems(params, {})
    assert problems.select("problem_id", "statement", "gold_answer").rows() == [
        ("mine.0", "One?", "1"),
        ("mine.2", "Two?", "2"),
        ("mine.5", "one? ", "1"),
    ]
    own = counts["sources"]["mine"]
    assert own == own | {
        "drawn": 6,
        "no_statement": 1,
        "tool_calls": 0,
        "not_text": 0,
        "no_answer": 1,
        "same_problem": 1,
        "in_benchmark": 0,
        "worked_example": 0,
        "duplicate": 0,
        "not_sampled": 0,
        "kept": 3,
    }
    assert data.file is not None
    assert problems["source"].to_list() == [f"sha256:{data.file.sha256}"] * 3


@pytest.mark.parametrize("name", ["mine.jsonl", "mine.parquet"])
def test_the_last_user_turn_of_chat_messages_is_the_statement(tmp_path: Path, name: str) -> None:
    rows = [
        {
            "prompt": turns_of(
                "system: Be short.",
                "user: First?",
                "assistant: Yes.",
                "user: Second?",
                "assistant: No.",
            )
        },
        {"prompt": turns_of("system: Be short.", "user: Third?")},
        {"prompt": turns_of("system: Nobody asks.")},
    ]
    data = write_table(tmp_path / name, rows)
    params = problems_params(
        sources={"mine": table_source(data, statement="prompt", gold_answer=None)}
    )
    problems, _, counts = build_problems(params, {})
    assert problems["statement"].to_list() == ["Second?", "Third?"]
    assert problems["gold_answer"].to_list() == ["", ""]
    assert counts["dropped"] == {"no_statement": 1}


def test_a_gold_answer_may_be_a_number(tmp_path: Path) -> None:
    data = write_table(tmp_path / "mine.jsonl", [{"q": "One?", "a": 1}, {"q": "Half?", "a": 0.5}])
    params = problems_params(sources={"mine": table_source(data, statement="q", gold_answer="a")})
    assert build_problems(params, {})[0]["gold_answer"].to_list() == ["1", "0.5"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"b": "One?", "a": "1"}], "row 0 has no column 'q'; it has b, a"),
        ([{"q": 7, "a": "1"}], "row 0: q = 7; expected a text, or messages with role and content"),
        ([{"q": ["7"], "a": "1"}], "row 0: q: holds a list; expected messages with role and cont"),
        ([{"q": "One?", "a": True}], "row 0: a = True; expected a text or a number"),
        (
            [{"q": "One?", "a": "1"}, {"q": "One?", "a": "2"}],
            "row 1: a = '2': an earlier row has '1'; expected one gold answer for a statement",
        ),
    ],
)
def test_a_table_that_is_not_as_declared_is_an_error_with_row_and_value(
    tmp_path: Path, rows: list[dict[str, Any]], message: str
) -> None:
    data = write_table(tmp_path / "mine.jsonl", rows)
    params = problems_params(sources={"mine": table_source(data, statement="q", gold_answer="a")})
    with pytest.raises(InputError) as caught:
        build_problems(params, {})
    assert str(caught.value).startswith(f"problems.sources.mine.table.data: {message}")
    assert "\n" not in str(caught.value)


def test_a_file_that_has_changed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    write_table(path, [{"q": "One?"}])
    data = DataSource(file=LocalFiles(path=str(path), sha256="0" * 64))
    params = problems_params(sources={"mine": table_source(data, statement="q", gold_answer=None)})
    with pytest.raises(InputError, match=r"problems\.sources\.mine\.table\.data\.file\.sha256 = 0"):
        build_problems(params, {})


@pytest.mark.parametrize(
    ("form", "row", "gold"),
    [
        ("gsm8k", {"question": "How many?", "answer": "2 + 2 = 4\n#### 1,004"}, "1004"),
        ("math-500", {"problem": "How many?", "answer": r"\frac{1}{2}"}, r"\frac{1}{2}"),
        ("olympiadbench", {"question": "How many?", "final_answer": ["$1$", "$2$"]}, "1, 2"),
        ("aime24", {"problem": "How many?", "solution": r"So \boxed{073}."}, "73"),
    ],
)
def test_problems_are_read_in_benchmark_formats(
    tmp_path: Path, form: str, row: dict[str, Any], gold: str
) -> None:
    data = write_table(tmp_path / "train.jsonl", [row, row])
    source = ProblemSource.model_validate({"math": {"format": form, "data": data.model_dump()}})
    problems, _, counts = build_problems(problems_params(sources={"train": source}), {})
    columns = ["problem_id", "statement", "gold_answer", "domain"]
    assert problems.select(columns).rows() == [("train.0", "How many?", gold, form)]
    assert counts["dropped"] == {"duplicate": 1}


def test_a_row_that_does_not_fit_a_benchmark_format_is_named(tmp_path: Path) -> None:
    rows = [{"question": "a", "answer": "#### 4"}, {"question": "b", "answer": "four"}]
    data = write_table(tmp_path / "train.jsonl", rows)
    source = ProblemSource.model_validate({"math": {"format": "gsm8k", "data": data.model_dump()}})
    message = r"^problems\.sources\.train\.math\.data: row 1: answer = 'four'; expected a solution"
    with pytest.raises(InputError, match=message):
        build_problems(problems_params(sources={"train": source}), {})

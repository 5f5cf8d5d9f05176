"""OpenR1's rows: the verdict rule, lists of different lengths, truncated traces."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from delta.core import tables
from delta.core.errors import InputError
from delta.core.schemas import QUESTION
from delta.data import openr1
from delta.data.openr1 import OpenR1Problems, OpenR1Traces
from delta.data.problems import ProblemSource, ProblemsParams, build_problems
from tests.helpers.openr1_rows import ASKED, ROWS, SCHEMA, local_source, row, trace, write_source

HELD_OUT = {
    "aime": tables.frame_of(
        [
            {
                "question_id": "aime.0",
                "statement": ASKED,
                "history": [],
                "prompt": ASKED,
                "gold_answer": "28",
                "grader": "math",
                "metadata": "{}",
            }
        ],
        QUESTION,
    )
}


def openr1_params(folder: Path, rows: list[dict[str, Any]], **changes: Any) -> OpenR1Problems:
    defaults: dict[str, Any] = {"llama_verdicts": True, "require_complete": "none"} | changes
    return OpenR1Problems(data=write_source(folder / "rows.parquet", rows), **defaults)


def read_openr1(folder: Path, rows: list[dict[str, Any]], **changes: Any) -> list[str]:
    """Return the id of each row's problem, or the reason why it is dropped."""
    items = openr1.read_problems("key", "r1", openr1_params(folder, rows, **changes), Counter())
    return [item if isinstance(item, str) else item["problem_id"] for item in items]


def read_openr1_traces(folder: Path, rows: list[dict[str, Any]], llama: bool = True) -> list[Any]:
    params = OpenR1Traces(data=write_source(folder / "rows.parquet", rows), llama_verdicts=llama)
    return list(openr1.read_traces("key", "r1", params))


MIXED, NO_RIGHT, NO_WRONG = "r1.0", "none_correct", "none_incorrect"
NEVER, ONE, ALL = [False, False], [True, False], [True, True]


@pytest.mark.parametrize(
    ("math_verify", "llama", "counted", "alone"),
    [
        (ONE, None, MIXED, MIXED),
        (ALL, None, NO_WRONG, NO_WRONG),
        (NEVER, None, NO_RIGHT, NO_RIGHT),
        (NEVER, ONE, MIXED, NO_RIGHT),
        (NEVER, NEVER, NO_RIGHT, NO_RIGHT),
        (NEVER, ALL, NO_WRONG, NO_RIGHT),
        (ONE, ALL, NO_WRONG, MIXED),
        ([], [], NO_RIGHT, NO_RIGHT),
        ([True, None], None, NO_WRONG, NO_WRONG),
    ],
)
def test_llamas_verdicts_replace_math_verifys_where_there_are_any(
    tmp_path: Path,
    math_verify: list[bool],
    llama: list[bool] | None,
    counted: str,
    alone: str,
) -> None:
    lists: dict[str, Any] = {"correctness_math_verify": math_verify, "correctness_llama": llama}
    rows = [row("P", "1", **lists, is_reasoning_complete=[True] * len(math_verify))]
    assert read_openr1(tmp_path, rows, llama_verdicts=True) == [counted]
    assert read_openr1(tmp_path, rows, llama_verdicts=False) == [alone]


@pytest.mark.parametrize(
    ("whole", "none", "chosen", "both"),
    [
        ([True, True], MIXED, MIXED, MIXED),
        ([True, False], MIXED, MIXED, NO_WRONG),
        ([False, True], MIXED, NO_RIGHT, NO_RIGHT),
        ([False, None], MIXED, NO_RIGHT, NO_RIGHT),
    ],
)
def test_a_truncated_trace_counts_only_where_params_allow_it(
    tmp_path: Path, whole: list[bool], none: str, chosen: str, both: str
) -> None:
    rows = [row("P", "1", is_reasoning_complete=whole)]
    for required, expected in (("none", none), ("chosen", chosen), ("both", both)):
        assert read_openr1(tmp_path, rows, require_complete=required) == [expected]


@pytest.mark.parametrize(
    "changes",
    [
        {"is_reasoning_complete": [True]},
        {"is_reasoning_complete": None},
        {"correctness_math_verify": [True, False, True]},
        {"correctness_math_verify": None},
        {"correctness_llama": []},
        {"finish_reasons": ["stop"]},
    ],
)
def test_lists_of_different_lengths_drop_the_row(tmp_path: Path, changes: dict[str, Any]) -> None:
    rows = [row("P", "1", **changes), row("Q", "2")]
    assert read_openr1(tmp_path, rows) == ["lists_differ", "r1.1"]
    assert [
        item if isinstance(item, str) else item["problem_id"]
        for item in read_openr1_traces(tmp_path, rows)
    ] == [
        "row_lists_differ",
        "r1.1",
        "r1.1",
    ]


def test_the_counts_of_twelve_rows_add_up(tmp_path: Path) -> None:
    params = ProblemsParams(
        sources={"r1": ProblemSource(openr1=openr1_params(tmp_path, ROWS))},
        overlap_words=8,
        sample=None,
        seed=1,
    )
    problems, dropped, counts = build_problems(params, HELD_OUT)
    assert problems["problem_id"].to_list() == ["r1.0", "r1.1", "r1.8", "r1.9"]
    assert list(counts["sources"]["r1"].items()) == [
        ("drawn", 12),
        ("lists_differ", 2),
        ("no_statement", 1),
        ("no_answer", 1),
        ("none_correct", 1),
        ("none_incorrect", 1),
        ("in_benchmark", 1),
        ("worked_example", 0),
        ("duplicate", 1),
        ("not_sampled", 0),
        ("kept", 4),
    ]
    assert counts["drawn"] == 12 == counts["kept"] + sum(counts["dropped"].values())
    assert counts["overlap"] == {"aime": 1}
    # Before overlap and duplicates: rows 0, 1, 8 to 11; row 1 is Llama's.
    assert counts["correct_and_incorrect_trace"] == {"with_llama": 6, "math_verify_alone": 5}
    assert dropped.to_dicts() == [
        {
            "problem_id": "r1.11",
            "statement": f"A harder one. {ASKED}",
            "benchmark": "aime",
            "question_id": "aime.0",
            "words": "find the sum of all the prime factors",
        }
    ]


def test_both_verdict_rules_are_counted(tmp_path: Path) -> None:
    by_rule = Counter[str]()
    params = openr1_params(tmp_path, ROWS, llama_verdicts=False, require_complete="both")
    items = list(openr1.read_problems("key", "r1", params, by_rule))
    assert by_rule == {"with_llama": 4, "math_verify_alone": 3}
    assert sum(not isinstance(item, str) for item in items) == 3


def test_a_row_becomes_a_problem_with_its_index_as_key_and_its_origin(tmp_path: Path) -> None:
    rows = [row("P", "1"), row("Q", r"\frac{1}{2}", uuid=None)]
    params = openr1_params(tmp_path, rows)
    items = list(openr1.read_problems("key", "r1", params, Counter()))
    assert params.data.file is not None
    assert items[1] == {
        "problem_id": "r1.1",
        "statement": "Q",
        "gold_answer": r"\frac{1}{2}",
        "source": f"sha256:{params.data.file.sha256} olympiads",
        "domain": "Algebra",
        "metadata": '{"uuid": null}',
    }


def test_a_null_or_repeated_uuid_is_no_error(tmp_path: Path) -> None:
    rows = [row(f"P{n}", "1", uuid=uuid) for n, uuid in enumerate([None, None, "same", "same"])]
    assert read_openr1(tmp_path, rows) == ["r1.0", "r1.1", "r1.2", "r1.3"]


def test_every_generation_is_a_trace_with_outcome_and_finish_reason(tmp_path: Path) -> None:
    rows = [
        row(
            "P",
            "1",
            generations=[trace("1"), "", trace("2", ended=False), trace("3"), trace("4")],
            is_reasoning_complete=[True, True, False, False, None],
            correctness_math_verify=[True, True, False, False, None],
        ),
        row("Q", "2", finish_reasons=["length", "abort"], is_reasoning_complete=[True, False]),
    ]
    items = read_openr1_traces(tmp_path, rows)
    assert items[1] == "no_text"
    assert [tuple(item.values()) for item in items if not isinstance(item, str)] == [
        ("r1.0", 0, trace("1"), "stop", "correct"),
        ("r1.0", 2, trace("2", ended=False), "length", "incorrect"),
        ("r1.0", 3, trace("3"), "length", "incorrect"),
        ("r1.0", 4, trace("4"), "length", None),
        ("r1.1", 0, trace("2"), "length", "correct"),
        ("r1.1", 1, trace("2 + 1"), "length", "incorrect"),
    ]


def test_recorded_outcomes_follow_the_same_verdict_rule(tmp_path: Path) -> None:
    rows = [row("P", "1", correctness_math_verify=NEVER, correctness_llama=[False, True])]
    outcomes = [
        [trace["outcome"] for trace in read_openr1_traces(tmp_path, rows, llama)]
        for llama in (True, False)
    ]
    assert outcomes == [["incorrect", "correct"], ["incorrect", "incorrect"]]


def test_a_missing_generation_drops_the_row_of_a_recording(
    tmp_path: Path,
) -> None:
    rows = [row("P", "1", generations=[trace("1")])]
    assert read_openr1(tmp_path, rows) == ["r1.0"]
    assert read_openr1_traces(tmp_path, rows) == ["row_lists_differ"]


def test_a_column_that_is_missing_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pl.DataFrame([row("P", "1")], schema=SCHEMA).drop("correctness_llama").write_parquet(path)
    params = OpenR1Problems(data=local_source(path), llama_verdicts=True, require_complete="none")
    with pytest.raises(InputError, match="'correctness_llama'") as caught:
        list(openr1.read_problems("problems.sources.r1.openr1.data", "r1", params, Counter()))
    assert str(caught.value).startswith("problems.sources.r1.openr1.data: row 0 has no column ")


def test_a_column_of_another_type_is_an_error_with_row_and_value(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    rows = [row("P", "1"), row("Q", "2", correctness_math_verify=["yes", "no"])]
    path.write_text("".join(json.dumps(line) + "\n" for line in rows))
    params = OpenR1Problems(data=local_source(path), llama_verdicts=True, require_complete="none")
    with pytest.raises(InputError) as caught:
        list(openr1.read_problems("key", "r1", params, Counter()))
    assert str(caught.value) == (
        "key: row 1: correctness_math_verify.0 = 'yes': should be a valid boolean"
    )

"""Rows of each benchmark format become the expected questions."""

import ast
import csv
import json
import os
import pickle
from base64 import b64encode
from pathlib import Path
from typing import Any
from zlib import compress

import polars as pl
import pytest

from delta.core.digests import sha256_of
from delta.data import program_tests
from tests.helpers import benchmark_rows
from tests.helpers.benchmark_rows import (
    benchmark_section,
    gold_answers,
    questions_error,
    read_questions,
)

MATH = {
    "math-500": [
        (r"What is $\frac{1}{2} + \frac{1}{3}$?", r"\frac{5}{6}"),
        ("How many primes are below $20$?\u2028Count them all.", "8"),
    ],
    "gsm8k": [
        ("A shelf holds 4 rows of 6 cups. How many cups is that?", "24"),
        ("A town buys 5 buses for $250,000 each. What does it pay, in dollars?", "1250000"),
        ("A pump loses 3 litres and gains none. By how much does it change?", "-3"),
    ],
    "amc23": [("What is $3^3$?", "27"), ("What is $6^2$?", "36"), (r"What is $9 \cdot 5$?", "45")],
    "minerva": [
        (r"Light goes $3.0 \times 10^8$ m/s. How many metres does it go in 2 s?", "6.0e8"),
        ("Differentiate $x^2$ by $x$.", "2x"),
    ],
    "olympiadbench": [
        ("Find all real $x$ with $x^2 = 9$.", "3, -3"),
        ("A cube has edge 2 cm. What is its volume?", "8"),
        ("A pen costs as much as five pencils.\n\nWhat is the price?", r"\$5"),
    ],
    "aime24": [("What is $10^2 - 27$?", "73"), (r"What is $20 \cdot 10 + 4$?", "204")],
    "aime25": [(r"What is $7 \cdot 10$?", "70"), ("How many degrees are in 0.9 of a turn?", "324")],
}


@pytest.mark.parametrize("form", MATH)
def test_a_math_row_gives_the_bare_statement_and_gold_answer(form: str, tmp_path: Path) -> None:
    rows, _ = read_questions(benchmark_section(tmp_path, form), form)
    assert [(row["statement"], row["gold_answer"]) for row in rows] == MATH[form]
    for index, row in enumerate(rows):
        assert row["question_id"] == f"{form}.{index}"
        assert row["grader"] == "math"
        instruction = "Please reason step by step, and put your final answer within \\boxed{}."
        assert row["prompt"] == f"{instruction}\n\n{row['statement']}"


def test_subject_unit_and_answer_type_go_into_the_metadata(tmp_path: Path) -> None:
    rows, _ = read_questions(benchmark_section(tmp_path, "math-500"))
    assert rows[0]["metadata"]["subject"] == "Prealgebra"
    rows, _ = read_questions(benchmark_section(tmp_path, "olympiadbench"))
    assert rows[1]["metadata"] == {
        "answer_type": "Numerical",
        "is_multiple_answer": False,
        "subfield": "Algebra",
        "unit": r"$\mathrm{~cm}^3$",
    }


@pytest.mark.parametrize(
    ("column", "value", "gold"),
    [
        ("expected_answer", "073", "73"),
        ("answer", 73, "73"),
        ("answer", 73.0, "73"),
        ("answer", "000", "0"),
        ("answer", "336^{\\circ}", "336"),
        ("solution", r"\boxed{ 073 }", "73"),
    ],
)
@pytest.mark.parametrize("form", ["aime24", "aime25"])
def test_copies_of_aime_with_other_columns_have_the_same_gold_answers(
    form: str, column: str, value: Any, gold: str, tmp_path: Path
) -> None:
    rows, _ = read_questions(
        benchmark_section(tmp_path, form, [{"problem": "What?", column: value}])
    )
    assert gold_answers(rows) == [gold]


def test_theoremqa_gold_answers_are_typed_and_pictures_are_counted(tmp_path: Path) -> None:
    rows, counts = read_questions(benchmark_section(tmp_path, "theoremqa"))
    assert [json.loads(gold) for gold in gold_answers(rows)] == [
        {"answer_type": "integer", "answer": 24},
        {"answer_type": "float", "answer": 1.414},
        {"answer_type": "bool", "answer": True},
        {"answer_type": "list of integer", "answer": [-2, 2]},
        {"answer_type": "list of float", "answer": [0.5, 1.25]},
        {"answer_type": "option", "answer": "(b)"},
    ]
    assert counts["dropped"] == {"picture": 1}
    rows, counts = read_questions(benchmark_section(tmp_path, "theoremqa", pictures="keep"))
    assert (len(rows), counts["dropped"]) == (7, {})
    assert [row["metadata"]["picture"] for row in rows] == [False] * 6 + [True]


def test_a_typed_theoremqa_answer_gives_the_same_gold_answer(tmp_path: Path) -> None:
    text_rows, _ = read_questions(benchmark_section(tmp_path, "theoremqa"))
    typed = [
        row | {"Answer": row["Answer"] if kind == "option" else ast.literal_eval(row["Answer"])}
        for row in benchmark_rows.THEOREMQA
        for kind in [row["Answer_type"]]
    ]
    typed_rows, _ = read_questions(benchmark_section(tmp_path, "theoremqa", typed))
    assert gold_answers(typed_rows) == gold_answers(text_rows)


def test_an_image_of_two_nulls_is_not_a_picture(tmp_path: Path) -> None:
    row = benchmark_rows.THEOREMQA[0] | {"Picture": {"bytes": None, "path": None}}
    assert read_questions(benchmark_section(tmp_path, "theoremqa", [row]))[1]["kept"] == 1


def test_mmlu_pro_uses_the_letter_and_drops_padding(
    tmp_path: Path,
) -> None:
    rows, _ = read_questions(benchmark_section(tmp_path, "mmlu-pro"))
    assert gold_answers(rows) == ["C", "B", "C"]
    assert rows[1]["prompt"].endswith("\n\nA. Iron\nB. Mercury\nC. Lead")
    assert rows[1]["statement"] == "Which metal is liquid at room temperature?"
    assert rows[2]["metadata"] == {"category": "math", "question_id": 3983, "src": "ours"}


def test_an_inner_na_option_is_kept_so_that_letters_stay_right(tmp_path: Path) -> None:
    row = benchmark_rows.MMLU_PRO[0] | {"options": ["x", "N/A", "y", "N/A"], "answer": "C"}
    rows, _ = read_questions(benchmark_section(tmp_path, "mmlu-pro", [row], shots=0, examples=None))
    assert rows[0]["prompt"].endswith("A. x\nB. N/A\nC. y")


def test_shots_are_of_the_questions_category_and_end_in_a_box(tmp_path: Path) -> None:
    rows, _ = read_questions(benchmark_section(tmp_path, "mmlu-pro", shots=2))
    chemistry = rows[1]["prompt"]
    assert chemistry.count("Which element stands") == 2
    assert "Which number stands" not in chemistry
    assert "Answer: Place 1 says it. The answer is \\boxed{B}.\n\n" in chemistry
    assert "step by step" not in chemistry.partition("\n")[2]
    none, _ = read_questions(benchmark_section(tmp_path, "mmlu-pro", shots=0, examples=None))
    assert "Question:" not in none[0]["prompt"]


def test_gpqa_option_order_depends_on_the_seed_and_not_on_the_file(
    tmp_path: Path,
) -> None:
    toy = benchmark_rows.GPQA[0]
    questions = [toy | {"Question": f"What is {number}?"} for number in range(60)]
    rows, _ = read_questions(benchmark_section(tmp_path, "gpqa", questions))
    prompts = {row["statement"]: row["prompt"] for row in rows}
    backwards, _ = read_questions(benchmark_section(tmp_path, "gpqa", questions[::-1]))
    assert {row["statement"]: row["prompt"] for row in backwards} == prompts
    assert set(gold_answers(rows)) == set("ABCD")
    for row in rows:
        assert f"\n{row['gold_answer']}. once" in row["prompt"]
        for wrong in ("never", "twice", "always"):
            assert f". {wrong}\n" in row["prompt"] + "\n"
    other, _ = read_questions(benchmark_section(tmp_path, "gpqa", questions, seed=18))
    assert gold_answers(other) != gold_answers(rows)


def test_livecodebench_keeps_all_tests(tmp_path: Path) -> None:
    rows, _ = read_questions(benchmark_section(tmp_path, "livecodebench"))
    parsed = [json.loads(gold) for gold in gold_answers(rows)]
    assert [gold.pop("kind") for gold in parsed] == ["stdin", "call", "stdin"]
    assert [program_tests.unpack(gold.pop("tests")) for gold in parsed] == [
        [{"input": "1 2\n", "output": "3\n"}, {"input": "5 6\n", "output": "11\n"}],
        [{"input": "1\n2", "output": "2"}, {"input": "9\n7", "output": "9"}],
        [{"input": "4\n", "output": "4\n"}],
    ]
    assert parsed == [{}, {"function": "larger"}, {}]
    assert rows[0]["metadata"]["contest_date"] == "2024-01-15"


@pytest.mark.parametrize(
    ("first", "last", "kept"),
    [
        (None, None, [0, 1, 2]),
        ("2024-02-15", None, [1, 2]),
        (None, "2024-02-15", [0, 1]),
        ("2024-02-16", "2024-03-15", [2]),
    ],
)
def test_a_range_of_contest_dates_includes_both_ends(
    first: str | None, last: str | None, kept: list[int], tmp_path: Path
) -> None:
    entry = benchmark_section(tmp_path, "livecodebench", from_date=first, to_date=last)
    rows, counts = read_questions(entry)
    assert [row["question_id"] for row in rows] == [f"toy.{index}" for index in kept]
    assert sum(counts["dropped"].values()) == 3 - len(kept)
    assert set(counts["dropped"]) <= {"outside_dates"}


class Malicious:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("touch planted",)


def test_private_tests_that_would_run_code_are_refused_unrun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    payload = b64encode(compress(pickle.dumps(Malicious()))).decode()
    row = benchmark_rows.LIVECODEBENCH[0] | {"private_test_cases": payload}
    message = questions_error(benchmark_section(tmp_path, "livecodebench", [row]))
    assert message.startswith("benchmarks.toy: row 0: private_test_cases = ")
    assert not (tmp_path / "planted").exists()


def test_humaneval_has_a_check_of_the_function(tmp_path: Path) -> None:
    rows, _ = read_questions(benchmark_section(tmp_path, "humaneval"))
    toy = benchmark_rows.HUMANEVAL[0]
    assert json.loads(rows[0]["gold_answer"]) == {
        "kind": "check",
        "prompt": toy["prompt"],
        "function": "double",
        "test": toy["test"],
    }
    assert rows[0]["statement"] == toy["prompt"]
    assert rows[0]["grader"] == "code"


CUSTOM: dict[str, list[tuple[Any, str]]] = {
    "math": [(r"\frac12", r"\frac12"), (27, "27"), ("-3.5", "-3.5")],
    "theorem": [
        (
            {"answer_type": "bool", "answer": "True"},
            '{"answer_type": "bool", "answer": true}',
        ),
        (
            '{"answer_type": "list of integer", "answer": [1, 2]}',
            '{"answer_type": "list of integer", "answer": [1, 2]}',
        ),
    ],
    "code": [
        (
            {"kind": "check", "prompt": "def f():\n", "function": "f", "test": "def check(c): 1"},
            '{"kind": "check", "prompt": "def f():\\n", "function": "f", '
            '"test": "def check(c): 1"}',
        ),
    ],
}


@pytest.mark.parametrize("grader", CUSTOM)
def test_a_custom_file_uses_the_grader_it_names(grader: str, tmp_path: Path) -> None:
    table = [{"ask": f"Question {n}?", "gold": gold} for n, (gold, _) in enumerate(CUSTOM[grader])]
    rows, _ = read_questions(
        benchmark_section(tmp_path, "columns", table, grader=grader, options=None)
    )
    assert gold_answers(rows) == [gold for _, gold in CUSTOM[grader]]
    assert {row["grader"] for row in rows} == {grader}


def test_custom_programs_have_plain_or_packed_tests(tmp_path: Path) -> None:
    tests = [{"input": "1\n", "output": "2\n"}]
    table = [
        {"ask": "Print one more.", "gold": {"kind": "stdin", "tests": tests}},
        {"ask": "Return one more.", "gold": {"kind": "call", "function": "more", "tests": tests}},
        {"ask": "As before.", "gold": {"kind": "stdin", "tests": program_tests.pack(tests)}},
    ]
    rows, _ = read_questions(
        benchmark_section(tmp_path, "columns", table, grader="code", options=None)
    )
    for gold in gold_answers(rows):
        assert program_tests.unpack(json.loads(gold)["tests"]) == tests
    assert "standard input" in rows[0]["prompt"]
    assert "`more`" in rows[1]["prompt"]


def test_a_custom_file_may_be_csv_or_parquet(tmp_path: Path) -> None:
    table = tmp_path / "own.csv"
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["ask", "gold", "choices"])
        writer.writerow(["Which, if any?", "B", '["one", "two"]'])
    entry = benchmark_section(tmp_path, "columns")
    source = {"file": {"path": str(table), "sha256": sha256_of(table)}}
    rows, _ = read_questions(entry | {"source": entry["source"] | {"data": source}})
    assert (rows[0]["gold_answer"], rows[0]["statement"]) == ("B", "Which, if any?")
    same = tmp_path / "own.parquet"
    pl.DataFrame(benchmark_rows.COLUMNS).write_parquet(same)
    source = {"file": {"path": str(same), "sha256": sha256_of(same)}}
    rows, _ = read_questions(entry | {"source": entry["source"] | {"data": source}})
    assert gold_answers(rows) == ["B", "A"]

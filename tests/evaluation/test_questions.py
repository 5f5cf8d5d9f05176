"""Rows become questions; invalid sources and too few questions are errors."""

import importlib
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from delta.core import params, paths, tables
from delta.core.console import Console
from delta.core.errors import InputError
from delta.core.schemas import QUESTION
from delta.evaluation.benchmarks import BenchmarkParams, benchmark_version
from delta.evaluation.questions import question_batches
from stages.questions import main
from tests.helpers import benchmark_rows
from tests.helpers.benchmark_rows import (
    benchmark_section,
    gold_answers,
    questions_error,
    read_questions,
    sums_benchmark,
)


def test_a_missing_column_is_an_error(tmp_path: Path) -> None:
    message = questions_error(benchmark_section(tmp_path, "columns", statement="question"))
    assert "row 0 has no column 'question'" in message


def test_the_first_questions_are_kept_with_their_ids(tmp_path: Path) -> None:
    entry = benchmark_section(tmp_path, "theoremqa", benchmark_rows.THEOREMQA[::-1])
    rows, counts = read_questions(entry | {"questions": 2})
    assert [row["question_id"] for row in rows] == ["toy.1", "toy.2"]
    assert counts == {
        "read": 7,
        "kept": 2,
        "dropped": {"picture": 1},
        "beyond_size": 4,
        "repeated": 0,
    }
    everything, _ = read_questions(entry)
    assert everything[:2] == rows


def test_too_few_questions_are_an_error(tmp_path: Path) -> None:
    entry = benchmark_section(tmp_path, "theoremqa")
    assert questions_error(entry | {"questions": 7}) == (
        "benchmarks.toy.questions = 7: 7 rows of the source give 6 questions ({'picture': 1}); "
        "expected 1 to 6"
    )
    entry = benchmark_section(tmp_path, "livecodebench", from_date="2025-01-01")
    assert questions_error(entry) == "benchmarks.toy: none of 3 rows is left ({'outside_dates': 3})"


def test_a_published_benchmark_keeps_repeated_questions_and_counts_them(
    tmp_path: Path,
) -> None:
    first, second, third = benchmark_rows.MMLU_PRO
    other = first | {"options": ["1", "2"], "answer": "B"}  # the same words, another question
    entry = benchmark_section(tmp_path, "mmlu-pro", [first, second, first, other, third])
    rows, counts = read_questions(entry)
    assert gold_answers(rows) == ["C", "B", "C", "B", "C"]
    assert counts["repeated"] == 1


def test_a_task_gives_the_requested_number_of_distinct_questions() -> None:
    rows, counts = read_questions(sums_benchmark(questions=40), "sums")
    statements = [row["statement"] for row in rows]
    assert len(set(statements)) == len(statements) == counts["kept"] == 40
    assert counts["read"] == 200
    assert counts["dropped"]["duplicate"] > 0
    assert counts["repeated"] == 0
    assert rows[0]["question_id"] == "sums.0"
    few, _ = read_questions(sums_benchmark(questions=10), "sums")
    assert few == rows[:10]
    message = questions_error(sums_benchmark(questions=400))
    assert message.startswith("benchmarks.toy.questions = 400: 2000 rows of the source give ")


def test_an_unknown_task_is_an_error_that_names_its_key() -> None:
    entry = sums_benchmark()
    message = questions_error(entry | {"source": entry["source"] | {"task": "chain_sums"}})
    assert message.startswith("benchmarks.toy.source.task = 'chain_sums': no such reasoning-gym")


def test_a_version_names_the_source_and_depends_on_the_questions(tmp_path: Path) -> None:
    def version(entry: dict[str, Any]) -> str:
        benchmark = BenchmarkParams.model_validate(entry)
        frame = pl.concat(question_batches("toy", benchmark, Counter()))
        return benchmark_version("toy", benchmark, frame)

    assert version(sums_benchmark()).startswith("toy: reasoning-gym 0.1.25 chain_sum seed 12 ")
    assert version(sums_benchmark()) == version(sums_benchmark())
    assert (
        len(
            {
                version(sums_benchmark()),
                version(sums_benchmark(questions=6)),
                version(sums_benchmark(seed=13)),
                version(sums_benchmark(max_terms=3)),
            }
        )
        == 4
    )
    entry = benchmark_section(tmp_path, "gpqa")
    sha = entry["source"]["data"]["file"]["sha256"]
    assert version(entry).startswith(f"toy: gpqa gpqa.jsonl@{sha[:8]} ")
    assert version(entry) != version(benchmark_section(tmp_path, "gpqa", seed=18))
    changed = [row | {"answer": "9"} for row in benchmark_rows.MATH_500]
    assert version(benchmark_section(tmp_path, "math-500")) != version(
        benchmark_section(tmp_path, "math-500", changed)
    )


HUB = {"hub": {"repository": "owner/name", "config": None, "split": "test", "revision": "a" * 40}}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"format": "math-50", "data": HUB}, "source = {'format': 'math-50'"),
        ({"format": "math-500"}, "source.data is missing"),
        ({"format": "math-500", "data": HUB, "seed": 1}, "source.seed is not known; expected "),
        (
            {"format": "mmlu-pro", "data": HUB, "shots": 5, "examples": None},
            "source.examples = None: expected a source exactly where shots are more than 0",
        ),
        (
            {"format": "mmlu-pro", "data": HUB, "shots": 0, "examples": HUB},
            "source.examples = {'hub': ",
        ),
        ({"format": "mmlu-pro", "data": HUB, "shots": 6, "examples": HUB}, "source.shots = 6: "),
        (
            {"format": "theoremqa", "data": HUB, "pictures": True},
            "source.pictures = True: should be 'drop' or 'keep'",
        ),
        (
            {"format": "livecodebench", "data": HUB, "from_date": "2024-13-01", "to_date": None},
            "source.from_date = '2024-13-01': month must be in 1..12",
        ),
        (
            {"format": "columns", "data": HUB, "statement": "a", "gold_answer": "b"}
            | {"grader": "choice", "options": None},
            "source.options = None: expected a column exactly where the grader is choice",
        ),
        (
            sums_benchmark()["source"],
            "questions = None: generated questions have no end; expected a number",
        ),
    ],
)
def test_an_invalid_source_is_refused_in_one_line_with_its_key(
    source: dict[str, Any], message: str, tmp_path: Path
) -> None:
    entry = {"group": "easy", "samples": 1, "questions": None, "max_tokens": 8, "source": source}
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump({"benchmarks": {"toy": entry}}, sort_keys=False))
    with pytest.raises(InputError) as caught:
        params.load_section("benchmarks.toy", BenchmarkParams, path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{path}: benchmarks.toy.{message}")


def test_a_bare_date_is_refused_because_dvc_cannot_hash_it(tmp_path: Path) -> None:
    importlib.import_module("lmformatenforcer")  # vLLM does; it changes PyYAML's SafeLoader
    path = tmp_path / "params.yaml"
    entry = benchmark_section(tmp_path, "livecodebench", from_date="DAY")
    text = yaml.safe_dump({"benchmarks": {"toy": entry}}).replace("DAY", "2024-08-01")
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        params.load_section("benchmarks.toy", BenchmarkParams, path)
    assert str(caught.value).endswith(
        'a bare date, which DVC cannot hash; expected "2024-08-01", in quotes'
    )


def test_the_stage_writes_questions_and_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    entry = benchmark_section(tmp_path / "rows", "theoremqa")
    Path("params.yaml").write_text(yaml.safe_dump({"benchmarks": {"theorems": entry}}))
    with Path("screen.txt").open("w") as screen:
        main(Console(screen), "theorems")
    assert tables.read(paths.questions("theorems"), QUESTION).height == 6
    counts = json.loads(Path("data/counts/questions/theorems.json").read_text())
    assert counts["questions"]["theorems"]["dropped"] == {"picture": 1}


def test_the_order_of_rows_is_kept_over_several_batches(tmp_path: Path) -> None:
    """The source has more rows than a batch."""
    numbers = list(range(250))
    random.Random(3).shuffle(numbers)
    table = [{"ask": f"What is {number} + 1?", "gold": number + 1} for number in numbers]
    rows, _ = read_questions(
        benchmark_section(tmp_path, "columns", table, grader="math", options=None)
    )
    assert gold_answers(rows) == [str(number + 1) for number in numbers]
    assert [row["question_id"] for row in rows] == [f"toy.{index}" for index in range(250)]

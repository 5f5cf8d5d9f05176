"""Problems are sampled by seed, match no benchmark question, and every dropped row is counted."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError

from delta.core.errors import InputError
from delta.core.schemas import PROBLEM
from delta.data import reasoning_gym
from delta.data.problems import DROPPED, ProblemSource, build_problems
from delta.data.reasoning_gym import TaskParams
from delta.prompts import prompt_files
from delta.prompts.prompt_files import WorkedExample
from tests.helpers.benchmark_questions import benchmark_questions
from tests.helpers.user_tables import problems_params, table_source, write_table

TINY: dict[str, Any] = {"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 1}
Frames = dict[str, pl.DataFrame]


def sums_task(problems: int = 20, seed: int = 12, **options: int) -> TaskParams:
    return TaskParams(task="chain_sum", seed=seed, problems=problems, options=TINY | options)


def generated_statements(task: TaskParams) -> list[str]:
    return [
        row["statement"] for row in reasoning_gym.generate_problems("task", task, task.problems)
    ]


def build_task(
    task: TaskParams, questions: Frames | None = None, **changes: Any
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    params = problems_params(sources={"sums": ProblemSource(task=task)}, **changes)
    problems, dropped, counts = build_problems(params, questions or {})
    assert problems.schema == PROBLEM.columns
    assert dropped.schema == DROPPED.columns
    assert counts["drawn"] == counts["kept"] + sum(counts["dropped"].values())
    return problems.to_dicts(), counts


def build_error(task: TaskParams, questions: Frames | None = None, **changes: Any) -> str:
    with pytest.raises(InputError) as caught:
        build_task(task, questions, **changes)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_problem_that_a_benchmark_asks_is_dropped_and_listed() -> None:
    alone = [row["statement"] for row in build_task(sums_task())[0]]
    params = problems_params(sources={"sums": ProblemSource(task=sums_task())})
    questions = benchmark_questions("hard", ["What else?", alone[3].upper()]) | benchmark_questions(
        "easy", [alone[3], alone[5]]
    )
    problems, dropped, counts = build_problems(params, questions)
    assert [statement for statement in alone if statement not in problems["statement"]] == [
        alone[3],
        alone[5],
    ]
    assert counts["overlap"] == {"hard": 1, "easy": 2}
    assert counts["benchmark_questions"] == 4
    assert counts["in_a_benchmark"] == 0
    listed = dropped.select("statement", "benchmark", "question_id").rows()
    assert listed[:2] == [(alone[3], "hard", "hard.1"), (alone[3], "easy", "easy.0")]
    assert (alone[5], "easy", "easy.1") in listed
    assert counts["dropped"]["in_benchmark"] == dropped["problem_id"].n_unique()


def test_shared_words_drop_a_problem_only_where_overlap_words_is_set() -> None:
    questions = benchmark_questions(
        "aime", ["Now state the final answer to the following and prove it."]
    )
    statement = build_task(sums_task())[0][0]["statement"]
    assert statement.startswith("State the final answer to the following arithmetic problem: ")
    assert len(build_task(sums_task(), questions)[0]) == len(build_task(sums_task())[0])
    assert len(build_task(sums_task(), questions, overlap_words=8)[0]) == len(
        build_task(sums_task())[0]
    )
    message = build_error(sums_task(), questions, overlap_words=7)
    assert message == (
        "problems.sources: 0 of 20 problems remain ({'in_benchmark': 20}); "
        "expected sources that leave one"
    )


def test_a_dropped_long_statement_is_listed_by_its_start(tmp_path: Path) -> None:
    data = write_table(tmp_path / "mine.jsonl", [{"q": "long " * 100}, {"q": "short"}])
    params = problems_params(sources={"mine": table_source(data, statement="q", gold_answer=None)})
    _, dropped, _ = build_problems(params, benchmark_questions("aime", ["long " * 100]))
    assert dropped["statement"].to_list() == ["long " * 40]


def test_the_same_problem_twice_is_kept_once_and_counted() -> None:
    # There are fewer than 500 sums and differences of two one-digit numbers.
    rows, counts = build_task(sums_task(problems=500))
    statements = [row["statement"] for row in rows]
    assert len(set(statements)) == len(statements)
    assert counts["dropped"] == {"duplicate": 500 - len(rows)}
    assert counts["dropped"]["duplicate"] > 300


def test_a_problem_in_two_sources_belongs_to_the_first() -> None:
    two = {
        "a": ProblemSource(task=sums_task(problems=5)),
        "b": ProblemSource(task=sums_task(problems=9)),
    }
    problems, _, counts = build_problems(problems_params(sources=two), {})
    rows, _ = build_task(sums_task(problems=9))
    assert problems["statement"].to_list() == [row["statement"] for row in rows]
    in_a = counts["sources"]["a"]["kept"]
    assert problems["problem_id"].str.head(1).to_list() == ["a"] * in_a + ["b"] * (len(rows) - in_a)
    assert counts["sources"]["b"]["duplicate"] >= in_a
    assert counts["kept"] == sum(source["kept"] for source in counts["sources"].values())


def test_a_worked_example_is_never_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    statement = generated_statements(sums_task())[3]
    monkeypatch.setattr(
        prompt_files, "worked_examples", lambda: [WorkedExample(statement.upper() + " ", "easy")]
    )
    rows, counts = build_task(sums_task())
    assert statement not in [row["statement"] for row in rows]
    assert counts["dropped"]["worked_example"] >= 1


def test_a_benchmark_that_asks_a_worked_example_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    statement = generated_statements(sums_task())[3]
    monkeypatch.setattr(prompt_files, "worked_examples", lambda: [WorkedExample(statement, "easy")])
    message = build_error(sums_task(seed=99), benchmark_questions("held-out", [statement]))
    assert message.startswith("benchmarks.held-out asks the worked example ")
    assert message.endswith("change its seed or the example")


def test_a_sample_is_random_and_a_larger_one_contains_it() -> None:
    everything = [row["problem_id"] for row in build_task(sums_task(problems=60))[0]]
    few, counts = build_task(sums_task(problems=60), sample=5)
    more, _ = build_task(sums_task(problems=60), sample=25)
    ids, more_ids = [row["problem_id"] for row in few], [row["problem_id"] for row in more]
    assert set(ids) < set(more_ids)
    assert ids == [id_ for id_ in everything if id_ in ids]  # in the order of the source
    assert ids != everything[:5]
    assert counts["dropped"]["not_sampled"] == len(everything) - 5
    assert ids != [
        row["problem_id"] for row in build_task(sums_task(problems=60), sample=5, seed=2)[0]
    ]


def test_a_sample_is_drawn_after_all_filters_by_problem_id() -> None:
    before = {
        row["problem_id"]: row["statement"]
        for row in build_task(sums_task(problems=60), sample=9)[0]
    }
    first = next(iter(before.values()))
    after = build_task(sums_task(problems=60), benchmark_questions("aime", [first]), sample=9)[0]
    assert len(after) == 9
    assert set(before) - {row["problem_id"] for row in after} == {next(iter(before))}


def test_a_sample_larger_than_the_rest_is_an_error() -> None:
    message = build_error(sums_task(problems=10), sample=11)
    left = len(build_task(sums_task(problems=10))[0])
    assert message.startswith(f"problems.sample = 11: {left} of 10 problems remain (")
    assert message.endswith(f"expected 1 to {left}")


def test_a_larger_task_contains_the_problems_of_a_smaller_one() -> None:
    few, _ = build_task(sums_task(problems=10))
    many, _ = build_task(sums_task(problems=40))
    assert many[: len(few)] == few
    assert len(many) > len(few)
    assert few[0]["problem_id"] == "sums.0"


def test_rows_depend_on_the_seed_only() -> None:
    assert build_task(sums_task()) == build_task(sums_task())
    assert build_task(sums_task(seed=13))[0] != build_task(sums_task())[0]


def test_a_problem_has_statement_answer_source_and_domain() -> None:
    row = build_task(sums_task())[0][0]
    left, sign, right = row["statement"].removesuffix("=").split()[-3:]
    assert int(row["gold_answer"]) == int(left) + int(f"{sign}{right}")
    assert row["source"] == "reasoning-gym 0.1.25 chain_sum seed 12"
    assert row["domain"] == "chain_sum"


def test_an_unknown_task_is_an_error_with_similar_names() -> None:
    message = build_error(TaskParams(task="chain_sums", seed=1, problems=3, options={}))
    assert message.startswith(
        "problems.sources.sums.task.task = 'chain_sums': no such reasoning-gym task; "
        "expected one of "
    )
    assert "chain_sum" in message.partition("expected one of ")[2].split(", ")


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"min_term": 2}, "min_term"),
        ({"min_terms": 0}, "min_terms"),
        ({"min_terms": 5, "max_terms": 4}, "max_terms"),
        ({"min_terms": "two"}, "two"),
        ({"min_terms": [2]}, "min_terms"),
        ({"seed": 3}, "seed"),
        ({"size": 3}, "size"),
    ],
)
def test_an_unknown_option_of_a_task_is_an_error(options: dict[str, Any], named: str) -> None:
    task = TaskParams.model_construct(task="chain_sum", seed=1, problems=3, options=options)
    message = build_error(task)
    assert message.startswith(f"problems.sources.sums.task.options = {options}: ")
    assert named in message


@pytest.mark.parametrize("kinds", [[], ["task", "table"]])
def test_a_source_has_exactly_one_kind(kinds: list[str]) -> None:
    file = {"path": "x", "sha256": "0" * 64}
    table = {"data": {"file": file}, "statement": "q", "gold_answer": None}
    every = {"task": sums_task().model_dump(), "table": table}
    with pytest.raises(ValidationError, match="expected exactly one of arithmetic, task, openr1"):
        ProblemSource.model_validate({kind: every[kind] for kind in kinds})


@pytest.mark.parametrize("changes", [{"overlap_words": 1}, {"sample": 0}, {"seed": -1}])
def test_a_number_out_of_range_is_refused(changes: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        problems_params(sources={"sums": ProblemSource(task=sums_task())}, **changes)

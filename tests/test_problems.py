"""Problems: drawn by seed, never one that a benchmark asks, and every drop counted."""

from pathlib import Path
from typing import Any

import pytest

from delta import params, prompts
from delta.benchmarks import BenchmarkParams, questions, version
from delta.errors import InputError
from delta.problems import ProblemsParams, build
from delta.prompts import Example
from delta.tasks import TaskParams, normal

PARAMS = Path(__file__).parents[1] / "params.yaml"
TINY: dict[str, Any] = {"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 1}


def sums(size: int = 20, seed: int = 12, **options: int) -> TaskParams:
    return TaskParams(task="chain_sum", seed=seed, size=size, options=TINY | options)


def benchmark(size: int = 20, seed: int = 12) -> BenchmarkParams:
    return BenchmarkParams(
        task="chain_sum", seed=seed, size=size, options=dict(TINY), group="easy", samples=1
    )


def built(
    task: TaskParams, held_out: BenchmarkParams | None = None
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    asked = {"held-out": held_out} if held_out else {}
    problems, counts = build(ProblemsParams(tasks={"sums": task}), asked)
    return problems.to_dicts(), counts


def error(task: TaskParams, held_out: BenchmarkParams | None = None) -> str:
    with pytest.raises(InputError) as caught:
        built(task, held_out)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_no_benchmark_question_is_among_the_committed_training_problems() -> None:
    chosen = params.section("problems", ProblemsParams, PARAMS)
    held_out = params.sections("benchmarks", BenchmarkParams, PARAMS)
    problems, counts = build(chosen, held_out)
    asked = {
        normal(row.statement) for name, one in held_out.items() for row in questions(name, one)
    }
    trained = [normal(statement) for statement in problems["statement"]]
    assert asked.isdisjoint(trained)
    assert len(set(trained)) == len(trained) == counts["kept"] == problems.height
    assert counts["in_a_benchmark"] == 0
    assert counts["benchmark_questions"] == len(asked)
    assert counts["drawn"] == 128 == counts["kept"] + sum(counts["dropped"].values())


def test_a_problem_that_a_benchmark_asks_is_dropped_and_counted() -> None:
    alone, _ = built(sums())
    statements = [normal(row["statement"]) for row in alone]
    rows, counts = built(sums(), benchmark(size=5))
    first_five = {normal(row.statement) for row in questions("held-out", benchmark(size=5))}
    assert [normal(row["statement"]) for row in rows] == [
        statement for statement in statements if statement not in first_five
    ]
    assert counts["dropped"]["in_benchmark"] >= 5
    assert counts["drawn"] == 20 == counts["kept"] + sum(counts["dropped"].values())


def test_the_same_problem_twice_is_kept_once_and_counted() -> None:
    # Sums and differences of two one-digit numbers: fewer than 500 are there to be drawn.
    rows, counts = built(sums(size=500))
    statements = [row["statement"] for row in rows]
    assert len(set(statements)) == len(statements)
    assert counts["dropped"]["duplicate"] > 300
    assert counts["kept"] + counts["dropped"]["duplicate"] == counts["drawn"] == 500


def test_a_worked_example_is_never_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = built(sums())[0][3]["statement"]
    monkeypatch.setattr(prompts, "worked_examples", lambda: [Example(shown.upper() + " ", "easy")])
    rows, counts = built(sums())
    assert shown not in [row["statement"] for row in rows]
    assert counts["dropped"]["worked_example"] >= 1


def test_a_benchmark_that_asks_a_worked_example_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown = questions("held-out", benchmark())[3].statement
    monkeypatch.setattr(prompts, "worked_examples", lambda: [Example(shown, "easy")])
    message = error(sums(seed=99), benchmark())
    assert message.startswith("benchmarks.held-out asks the worked example ")
    assert message.endswith("change its seed or the example")


def test_a_larger_size_keeps_the_problems_there_were() -> None:
    few, _ = built(sums(size=10))
    many, _ = built(sums(size=40))
    assert many[: len(few)] == few
    assert len(many) > len(few)
    assert few[0]["problem_id"] == "sums.0"


def test_the_same_seed_gives_the_same_rows_and_another_seed_others() -> None:
    assert built(sums()) == built(sums())
    assert built(sums(seed=13))[0] != built(sums())[0]


def test_a_problem_is_a_statement_with_its_answer_and_where_it_comes_from() -> None:
    row = built(sums())[0][0]
    left, sign, right = row["statement"].removesuffix("=").split()[-3:]
    assert int(row["gold_answer"]) == int(left) + int(f"{sign}{right}")
    assert row["source"] == "reasoning-gym 0.1.25 chain_sum seed 12"
    assert row["domain"] == "chain_sum"


def test_a_benchmarks_version_names_source_and_seed_and_knows_its_questions() -> None:
    asked = questions("held-out", benchmark())
    named = version(benchmark(), asked)
    assert named.startswith("reasoning-gym 0.1.25 chain_sum seed 12 ")
    assert version(benchmark(), asked) == named != version(benchmark(), asked[:-1])


def test_an_unknown_task_is_an_error_with_the_tasks_like_it() -> None:
    message = error(TaskParams(task="chain_sums", seed=1, size=3, options={}))
    assert message.startswith(
        "problems.tasks.sums.task = 'chain_sums': no such reasoning-gym task; allowed: "
    )
    assert "chain_sum" in message.partition("allowed: ")[2].split(", ")
    message = error(TaskParams(task="addition", seed=1, size=3, options={}))
    assert "chain_sum" in message.partition("allowed: ")[2].split(", ")


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
def test_an_option_that_the_task_does_not_take_is_an_error(
    options: dict[str, Any], named: str
) -> None:
    task = TaskParams.model_construct(task="chain_sum", seed=1, size=3, options=options)
    message = error(task)
    assert message.startswith(f"problems.tasks.sums.options = {options}: ")
    assert named in message


def test_an_empty_set_is_an_error_with_the_reasons() -> None:
    message = error(sums(size=10), benchmark(size=10))
    assert message == (
        "problems.tasks: none of 10 problems is left ({'in_benchmark': 10}); raise a size"
    )

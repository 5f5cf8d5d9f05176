"""Which problems the policy learns from; none of them occurs in a benchmark (paper, section 3)."""

from collections import Counter
from typing import Annotated, Any

import polars as pl
from pydantic import Field

from delta import benchmarks, prompts, tasks
from delta.benchmarks import BenchmarkParams
from delta.errors import InputError
from delta.params import Section
from delta.records import PROBLEM
from delta.tables import frame_of
from delta.tasks import TaskParams


class ProblemsParams(Section):
    tasks: Annotated[dict[str, TaskParams], Field(min_length=1)]


def build(
    params: ProblemsParams, held_out: dict[str, BenchmarkParams]
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Problem rows, and counts: drawn = kept + dropped by reason.

    A problem is dropped where its statement, case and white space aside, stands in a benchmark, in
    a worked example, or earlier in the set. Raises InputError where a benchmark asks a worked
    example, or where no problem is left.
    """
    asked = benchmarks.statements(held_out)
    examples = {tasks.normal(example.problem) for example in prompts.worked_examples()}
    for statement in examples & set(asked):
        raise InputError(
            f"benchmarks.{asked[statement]} asks the worked example {statement!r}; "
            "change its seed or the example"
        )
    rows, dropped, seen, drawn = [], Counter[str](), set[str](), 0
    for name, task in params.tasks.items():
        for index, row in enumerate(tasks.draw(f"problems.tasks.{name}", task)):
            drawn += 1
            statement = tasks.normal(row["statement"])
            reason = _drop_reason(statement, asked, examples, seen)
            if reason:
                dropped[reason] += 1
                continue
            seen.add(statement)
            rows.append(
                row
                | {
                    "problem_id": f"{name}.{index}",
                    "source": tasks.version(task),
                    "domain": task.task,
                }
            )
    if not rows:
        raise InputError(
            f"problems.tasks: none of {drawn} problems is left ({dict(dropped)}); raise a size"
        )
    overlap = sum(statement in asked for statement in seen)
    counts = {
        "drawn": drawn,
        "kept": len(rows),
        "dropped": dict(dropped),
        "benchmark_questions": len(asked),
        "in_a_benchmark": overlap,
    }
    assert overlap == 0
    return frame_of(rows, PROBLEM), counts


def _drop_reason(
    statement: str, asked: dict[str, str], examples: set[str], seen: set[str]
) -> str | None:
    if statement in asked:
        return "in_benchmark"
    if statement in examples:
        return "worked_example"
    if statement in seen:
        return "duplicate"
    return None

"""Write the page of all pairs to report/pairs/ and that of all answers to report/answers/.

With "pairs" or "answers" as its argument, only that page.
"""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from delta.core import params, paths, tables
from delta.core.console import Console, run
from delta.core.errors import InputError
from delta.core.schemas import (
    ANSWER,
    PROBLEM,
    QUESTION,
    RATING,
    SELECTED,
    SIDES,
    TRACE,
    VERDICT,
    Table,
)
from delta.core.types import Row
from delta.evaluation.config import EvaluatedModelParams, baselines
from delta.report.viewer import answer_page, pair_page

PAGES = ("pairs", "answers")
BATCH_SIZE = 32  # questions or answers in memory at once


def main(console: Console, page: str | None = None) -> None:
    if page not in (None, *PAGES):
        raise InputError(f"{page}: expected pairs, answers or nothing")
    results = []
    if page != "answers":
        counts = write_pairs()
        results.append(f"{counts['pairs']:,} pairs, {counts['selected']:,} of them selected")
    if page != "pairs":
        counts = write_answers()
        results.append(
            f"{counts['questions']:,} questions, {counts['gained']:,} gained and "
            f"{counts['lost']:,} lost"
        )
    console.finish("; ".join(results))


def write_pairs() -> dict[str, int]:
    """Write the page of pairs and return its counts."""
    chosen, rejected = (params.get(f"pairing.{side}") for side in SIDES)
    names = list(dict.fromkeys([chosen, rejected]))  # may be the same generator
    selected = tables.read(paths.SELECTED, SELECTED)
    mode, by = params.get("selector.mode"), params.get("selector.by")
    return pair_page.write(
        paths.PAIR_VIEWER,
        pair_page.RunSummary(selected["recipe"][0], chosen, rejected, mode, by),
        selected,
        tables.read(paths.PROBLEMS, PROBLEM),
        [tables.scan(paths.traces(name), TRACE) for name in names],
        pl.concat(tables.read(paths.verdicts(name), VERDICT) for name in names),
        pl.concat(tables.read(paths.ratings(name), RATING) for name in names),
    )


def write_answers() -> dict[str, int]:
    """Write the page of answers and return its counts."""
    models = params.load_sections("evaluation.models", EvaluatedModelParams)
    (base,) = baselines(models, params.get("train.base"))
    benchmarks = (
        answer_page.BenchmarkAnswers(
            name,
            benchmark["group"],
            rows(paths.questions(name), QUESTION, answer_page.QUESTION_COLUMNS),
            rows(paths.answers(base, name), ANSWER, answer_page.ANSWER_COLUMNS),
            rows(paths.answers(paths.POLICY, name), ANSWER, answer_page.ANSWER_COLUMNS),
        )
        for name, benchmark in params.get("benchmarks").items()
    )
    return answer_page.write(paths.ANSWER_VIEWER, base, paths.POLICY, benchmarks)


def rows(path: Path, table: Table, columns: list[str]) -> Iterator[Row]:
    """Return the rows of a table. Raises InputError if the file is not such a table."""
    tables.scan(path, table)
    return tables.iter_rows(path, columns, BATCH_SIZE)


if __name__ == "__main__":
    run(main)

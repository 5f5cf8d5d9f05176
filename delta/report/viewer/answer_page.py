"""Write the page of all questions: the answers of the base and of the policy side by side."""

from collections.abc import Iterable, Iterator
from itertools import groupby, zip_longest
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

from delta.core.errors import InputError
from delta.core.files import atomic_folder
from delta.core.types import Counts, Row
from delta.report.viewer import data_files
from delta.report.viewer.data_files import truncate_texts
from delta.report.viewer.render import render

KINDS = ("gained", "lost", "both", "neither")
QUESTION_COLUMNS = ["question_id", "statement", "prompt", "history"]
ANSWER_COLUMNS = [
    *("question_id", "sample", "text", "answer_start", "gold_answer"),
    *("outcome", "extracted", "reason", "flexible_outcome", "finish_reason"),
]


class BenchmarkAnswers(NamedTuple):
    """The questions of a benchmark and both models' answers, in the order of the questions."""

    name: str
    group: str
    questions: Iterable[Row]  # with QUESTION_COLUMNS
    before: Iterable[Row]  # of the base, with ANSWER_COLUMNS
    after: Iterable[Row]  # of the policy


def write(folder: Path, base: str, policy: str, benchmarks: Iterable[BenchmarkAnswers]) -> Counts:
    """Write the page and replace `folder` with it; return the number of questions of each kind.

    The tables are read question by question, so memory does not grow with their text. Raises
    InputError where they do not belong to the same questions; the old folder then stays.
    """
    index: list[Row] = []
    with atomic_folder(folder) as part:
        locations = data_files.write_records(part, _records(benchmarks, index))
        for row in index:
            row["at"] = locations[row["question_id"]][:2]
        data_files.write_data(part, "index", _build_index(base, policy, index))
        (part / "index.html").write_text(render("answers"), encoding="utf-8")
    kinds = [row["kind"] for row in index]
    counts = {kind: kinds.count(kind) for kind in KINDS}
    return {"questions": len(index), **counts, **data_files.size_of(folder)}


def kind_of(right_before: float, right_after: float) -> str:
    """Return the kind of a question by the fractions of its answers that are correct.

    With one answer each: gained is wrong before and right after, lost the reverse.
    """
    if right_before == right_after:
        return "both" if right_after else "neither"
    return "gained" if right_after > right_before else "lost"


def _records(
    benchmarks: Iterable[BenchmarkAnswers], index: list[Row]
) -> Iterator[tuple[str, int, Row]]:
    """Yield what the page shows of each question, and add the question's row to `index`."""
    for benchmark in benchmarks:
        by_question = itemgetter("question_id")
        groups = (groupby(rows, by_question) for rows in (benchmark.before, benchmark.after))
        for question, *answers in zip_longest(benchmark.questions, *groups):
            ids = [question and question["question_id"], *(group and group[0] for group in answers)]
            if len(set(ids)) > 1:
                raise InputError(
                    f"benchmark {benchmark.name}: the questions and the answers of both models "
                    f"differ at {next(filter(None, ids))!r}; rebuild with `dvc repro`"
                )
            sides = [list(rows) for _, rows in answers]
            index.append(_index_row(benchmark, question, *sides))
            texts = [len(row["text"]) for rows in sides for row in rows]
            record = {"prompt": question["prompt"], "history": question["history"]}
            record |= {
                side: [_answer(row) for row in rows]
                for side, rows in zip(("before", "after"), sides, strict=True)
            }
            yield (
                question["question_id"],
                sum(texts) + len(question["prompt"]),
                truncate_texts(record),
            )


def _index_row(
    benchmark: BenchmarkAnswers, question: Row, before: list[Row], after: list[Row]
) -> Row:
    """Return the row of the list. Its extracted answers are those of the first samples."""
    right, right_any_form = (
        [sum(row[column] == "correct" for row in rows) for rows in (before, after)]
        for column in ("outcome", "flexible_outcome")
    )
    return {
        "question_id": question["question_id"],
        "benchmark": benchmark.name,
        "group": benchmark.group,
        "kind": kind_of(right[0] / len(before), right[1] / len(after)),
        "statement": truncate_texts(question["statement"]),
        "gold": truncate_texts(before[0]["gold_answer"]),
        "samples": [len(before), len(after)],
        "right": right,
        "right_any_form": right_any_form,
        "extracted": truncate_texts([before[0]["extracted"], after[0]["extracted"]]),
    }


def _answer(row: Row) -> Row:
    start = len(row["text"]) if row["answer_start"] is None else row["answer_start"]
    parts = [("reasoning", row["text"][:start]), ("answer", row["text"][start:])]
    return {
        "parts": [part for part in parts if part[1]],
        "verdict": {name: row[name] for name in ("outcome", "extracted", "reason")},
        "flexible_outcome": row["flexible_outcome"],
        "finish_reason": row["finish_reason"],
    }


def _build_index(base: str, policy: str, rows: list[Row]) -> Row:
    """Return the data of the list, as columns."""
    benchmarks = list(dict.fromkeys(row["benchmark"] for row in rows))
    questions = f"{len(rows):,} question{'' if len(rows) == 1 else 's'}"
    about = {
        "title": "Answers before and after training",
        "summary": f"{questions} of {', '.join(benchmarks)}: {base} before, {policy} after.",
        "before": base,
        "after": policy,
    }
    columns: dict[str, list[Any]] = {name: [row[name] for row in rows] for name in rows[0]}
    return {"about": about, "columns": columns}

"""Compare two runs question by question, and show their answers where they differ.

A run is an evaluated model of this workspace ("policy", "zero-shot") or a result in metrics/runs,
named by its key or the beginning of its name. Results keep no texts of answers.
"""

import argparse
import sys
from typing import NamedTuple

import polars as pl

from delta.cli import command_line
from delta.core import params, paths, tables
from delta.core.errors import InputError, one_line
from delta.core.schemas import ANSWER, QUESTION
from delta.core.types import Row
from delta.experiments import compare, results
from delta.experiments.results import AnswerCounts
from delta.report.html.labels import words
from delta.report.scores import read_scores

MAX_QUESTION = 200  # characters that are shown
MAX_ANSWER = 300
MAX_NAMES_LENGTH = 200  # characters of a line with all names
TEXT_COLUMNS = ["question_id", "text", "answer_start", "outcome", "reason"]


class Answers(NamedTuple):
    """The answers of one run by benchmark."""

    name: str
    counts: dict[str, AnswerCounts]
    scores: dict[str, Row]
    has_texts: bool  # in data/answers


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("ours", help="an evaluated model, or a result's key or start of its name")
    parser.add_argument("theirs", help="likewise")
    parser.add_argument(
        "--show",
        type=_number_or_all,
        default=5,
        help="how many questions of each kind, or all (default: 5)",
    )


def _number_or_all(text: str) -> int | None:
    if text == "all":
        return None
    try:
        return command_line.number(text)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{error}, or all") from error


def read_answers(name: str) -> Answers:
    """Read the answers of a run. Raises InputError where no run, or several, have this name."""
    has_texts = paths.score(name).is_file()
    if has_texts:
        scores = read_scores([name], params.get("benchmarks"))[name]
        counts = results.read_answers(name, scores)
    else:
        result = _find_result(name)
        scores, counts = result.scores, result.answers
    return Answers(name, counts, scores, has_texts)


def _find_result(name: str) -> results.Result:
    known = [results.read(path.stem) for path in sorted(paths.RUNS.glob("*.json"))]
    runs = [result for result in known if result is not None]
    named = [run for run in runs if run.key == name or run.name.startswith(name)]
    if len(named) == 1:
        return named[0]
    models = params.get("evaluation.models")
    if not named and name in models:
        raise InputError(f"run {name!r}: has not been evaluated; run `make repro` first")
    evaluated = [model for model in models if paths.score(model).is_file()]
    names = [run.name for run in named] or [*evaluated, *sorted(run.name for run in runs)]
    raise InputError(f"run {name!r}: {len(named)} runs have this name; {_expected_names(names)}")


def _expected_names(names: list[str]) -> str:
    """Return what was expected: one of the names. Many are printed on lines of their own."""
    if not names:
        return "run `make repro` first"
    if len(text := ", ".join(names)) <= MAX_NAMES_LENGTH:
        return f"expected one of {text}"
    print("\n".join(names), file=sys.stderr)
    return f"expected one of the {len(names)} names above"


def main(options: argparse.Namespace) -> None:
    ours, theirs = read_answers(options.ours), read_answers(options.theirs)
    compare.check_same_questions(ours.name, ours.scores, theirs.name, theirs.scores)
    comparisons = compare.compare(ours.counts, theirs.counts)
    cut = compare.cut_by_benchmark(ours.scores, theirs.scores)
    print(compare.to_markdown(comparisons, ours.name, theirs.name, cut))
    if options.show == 0:
        return
    for comparison in comparisons:
        for better, worse, rows in (
            (ours, theirs, comparison.only_ours),
            (theirs, ours, comparison.only_theirs),
        ):
            if rows:
                _print_questions(comparison.benchmark, better, worse, rows, options.show)
    for run in (ours, theirs):
        if not run.has_texts:
            print(f"\n{run.name}: its answers are not kept, only how many were right")


def _print_questions(
    benchmark: str, better: Answers, worse: Answers, rows: list[int], show: int | None
) -> None:
    """Print questions that `better` answered correctly more often, with an answer of each run."""
    questions = tables.read(paths.questions(benchmark), QUESTION, ["question_id", "statement"])
    texts = {
        run.name: tables.read(paths.answers(run.name, benchmark), ANSWER, TEXT_COLUMNS)
        for run in (better, worse)
        if run.has_texts
    }
    print(f"\n{benchmark}: {len(rows)} more often right in {better.name}")
    for row in rows[:show]:
        question_id, statement = questions.row(row)
        print(f"  {question_id}: {shorten(statement, MAX_QUESTION)}")
        for run, is_better in ((better, True), (worse, False)):
            counts = run.counts[benchmark]
            right = f"{counts.correct[row]} of {counts.samples} right"
            if run.name in texts:
                answer = _answer(texts[run.name], question_id, is_better)
                if answer["reason"] is not None:
                    right += f" ({words(answer['reason'])})"
                text = str(answer["text"][answer["answer_start"] or 0 :])
                right += f": {shorten(text, MAX_ANSWER)}"
            print(f"    {run.name}, {right}")
    if show is not None and len(rows) > show:
        print(f"  and {len(rows) - show} more; --show {len(rows)} shows all")


def _answer(answers: pl.DataFrame, question_id: str, is_correct: bool) -> Row:
    """Return the first correct answer to a question, or the first that is not."""
    chosen = (pl.col("outcome") == "correct") == is_correct
    return answers.filter(pl.col("question_id") == question_id, chosen).row(0, named=True)


def shorten(text: str, size: int) -> str:
    """Return `text` in one line; of a long one the begin and the end, and how much is left out."""
    line = " ".join(text.split())
    if len(line) > size:
        start, end = line[: size // 2], line[-size // 2 :]
        left_out = len(line) - len(start) - len(end)
        line = f"{start} [{left_out:,} characters left out] {end}"
    return one_line(line) or "(empty)"

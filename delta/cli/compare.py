"""Compare two runs question by question.

A run is an evaluated model of this workspace ("policy", "zero-shot") or a result in metrics/runs,
named by its key or the beginning of its name.
"""

import argparse
from typing import NamedTuple

from delta.cli import command_line
from delta.core import params, paths, tables
from delta.core.errors import InputError
from delta.core.schemas import QUESTION
from delta.experiments import compare, results
from delta.experiments.results import AnswerCounts
from delta.report.scores import read_scores

MAX_CHARACTERS = 100  # of a question


class Answers(NamedTuple):
    """The answers of one run by benchmark."""

    counts: dict[str, AnswerCounts]
    versions: dict[str, str]  # of the benchmarks


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("ours", help="an evaluated model, or a result's key or start of its name")
    parser.add_argument("theirs", help="likewise")
    parser.add_argument(
        "--show", type=command_line.number, default=5, help="questions of each kind (default: 5)"
    )


def read_answers(name: str) -> Answers:
    """Read the answers of a run. Raises InputError where no run, or several, have this name."""
    if paths.score(name).is_file():
        scores = read_scores([name], params.get("benchmarks"))[name]
        counts = results.read_answers(name, scores)
    else:
        result = _find_result(name)
        scores, counts = result.scores, result.answers
    versions = {key: str(score["benchmark_version"]) for key, score in scores.items()}
    return Answers(counts, versions)


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
    names = [run.name for run in named] or [*evaluated, *(run.name for run in runs)]
    expected = f"one of {', '.join(names)}" if names else "run `make repro` first"
    raise InputError(f"run {name!r}: {len(named)} runs have this name; expected: {expected}")


def main(options: argparse.Namespace) -> None:
    ours, theirs = read_answers(options.ours), read_answers(options.theirs)
    for benchmark in ours.versions.keys() & theirs.versions.keys():
        if ours.versions[benchmark] != theirs.versions[benchmark]:
            raise InputError(
                f"benchmark {benchmark}: {options.ours} was asked {ours.versions[benchmark]!r}, "
                f"{options.theirs} {theirs.versions[benchmark]!r}; expected: the same questions"
            )
    comparisons = compare.compare(ours.counts, theirs.counts)
    print(compare.to_markdown(comparisons, options.ours, options.theirs))
    for comparison in comparisons:
        path = paths.questions(comparison.benchmark)
        questions = tables.read(path, QUESTION, ["question_id", "statement"])
        kinds = {options.ours: comparison.only_ours, options.theirs: comparison.only_theirs}
        for name, rows in kinds.items():
            if rows and options.show:
                print(f"\n{comparison.benchmark}: more often right in {name}")
            for row in rows[: options.show]:
                question_id, statement = questions.row(row)
                print(f"  {question_id}: {' '.join(statement.split())[:MAX_CHARACTERS]}")

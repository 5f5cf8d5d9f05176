"""Compare two runs question by question: `python -m delta compare OURS THEIRS`.

A run is an evaluated model of this workspace ("policy", "zero-shot") or a result in metrics/runs,
by its key or the beginning of its name.
"""

import argparse
import sys

from delta.cli import exit
from delta.core import params, paths, tables
from delta.core.errors import InputError
from delta.core.schemas import ANSWER, QUESTION
from delta.experiments import compare, results
from delta.experiments.results import AnswerCounts
from delta.report import scores as report

LONGEST = 100  # characters of a question


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=sys.argv[0], description=__doc__)
    parser.add_argument("ours")
    parser.add_argument("theirs")
    parser.add_argument("--show", type=int, default=5, help="questions of each kind (default: 5)")
    return parser.parse_args()


def run_of(name: str) -> tuple[dict[str, AnswerCounts], dict[str, str]]:
    """Answers and benchmark versions, by benchmark."""
    if paths.score(name).is_file():
        scores = report.read_scores({name: paths.score(name)}, list(params.get("benchmarks")))
        rows = {one: tables.read(paths.answers(name, one), ANSWER) for one in scores[name]}
        answers = {one: results.answered(frame) for one, frame in rows.items()}
        versions = {one: str(of["benchmark_version"]) for one, of in scores[name].items()}
        return answers, versions
    known = {path.stem: results.read(path.stem) for path in sorted(paths.RUNS.glob("*.json"))}
    fitting = [
        one for key, one in known.items() if one and (key == name or one.name.startswith(name))
    ]
    if len(fitting) != 1:
        models = sorted(path.stem for path in paths.score("").parent.glob("*.json"))
        names = [] if fitting else models
        names += [one.name for one in fitting or known.values() if one]
        expected = f"one of {', '.join(names)}" if names else "run `make repro` first"
        raise InputError(f"run {name!r}: {len(fitting)} runs have this name; expected: {expected}")
    scores = fitting[0].scores
    return fitting[0].answers, {one: str(of["benchmark_version"]) for one, of in scores.items()}


def main() -> None:
    given = arguments()
    (ours, our_versions), (theirs, their_versions) = run_of(given.ours), run_of(given.theirs)
    for name in our_versions.keys() & their_versions.keys():
        if our_versions[name] != their_versions[name]:
            raise InputError(
                f"benchmark {name}: {given.ours} was asked {our_versions[name]!r}, {given.theirs} "
                f"{their_versions[name]!r}; allowed: the same questions"
            )
    compared = compare.compare(ours, theirs)
    print(compare.table(compared, given.ours, given.theirs))
    for one in compared:
        questions = tables.read(
            paths.questions(one.benchmark), QUESTION, ["question_id", "statement"]
        )
        kinds = {given.ours: one.only_ours, given.theirs: one.only_theirs}
        for name, places in kinds.items():
            if places and given.show:
                print(f"\n{one.benchmark}: more often right in {name}")
            for place in places[: given.show]:
                question_id, statement = questions.row(place)
                print(f"  {question_id}: {' '.join(statement.split())[:LONGEST]}")


def start() -> None:
    exit.run(main)

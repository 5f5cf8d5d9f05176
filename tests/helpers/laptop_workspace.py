"""A workspace as `dvc repro` leaves it on the laptop profile, with made-up texts and votes.

The stages select, analyze, certify, summary and report run for real on it. Scores are near those
of the real run; the results of experiments are made up.
"""

import contextlib
import io
import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from delta.core import params, paths, tables
from delta.core.console import Console
from delta.core.files import write_counts
from delta.core.schemas import ANSWER, PAIR, PROBLEM, QUESTION, RATING, TRACE, VERDICT
from delta.core.types import Row
from delta.evaluation.benchmarks import BenchmarkParams
from delta.evaluation.evaluate import score
from delta.experiments import results
from delta.experiments.grid import ExperimentParams, RunSpec, expand_grid, with_changes
from delta.experiments.results import AnswerCounts, Result
from delta.judging.rubric import DIMENSIONS
from delta.stats.intervals import wilson
from stages import analyze, certify, report, select, summary
from tests.helpers.import_closure import ROOT

PROBLEMS = 53
OF_PAPER = 0.6  # fraction of right answers of a run of the repository's experiments
# Fractions of right answers by benchmark.
SCORES = {
    "early": {"sums": 0.45, "mixed": 0.2, "words": 0.25},
    "warm": {"sums": 0.7, "mixed": 0.35, "words": 0.4},
    "policy": {"sums": 0.78, "mixed": 0.42, "words": 0.41},
}
MACHINE = "2 × Example CPU 3000"


def write_workspace(
    folder: Path,
    changes: dict[str, Any] | None = None,
    policy: dict[str, float] | None = None,
    own: dict[str, float] | None = None,
) -> None:
    """Write the inputs of the stages to `folder`, and run the stages.

    `changes` are dotted parameters that differ from params.yaml, `policy` the policy's fractions of
    right answers, and `own` those of runs of own experiments by name without key; other runs of
    these have no result. All runs of params.yaml's own experiments have one.
    """
    with _inside(folder):
        _write_params(changes or {})
        _write_results(own or {})
        _write_traces()
        for stage in (select, analyze, certify):
            stage.main(Console(io.StringIO()))
        _write_counts()
        for model, scores in (SCORES | {"policy": policy or SCORES["policy"]}).items():
            _write_answers(model, scores)
        for stage in (summary, report):
            stage.main(Console(io.StringIO()))


@contextlib.contextmanager
def _inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _write_params(changes: dict[str, Any]) -> None:
    yaml = YAML()
    content = yaml.load(ROOT / "params.yaml")
    for key, value in changes.items():
        *parents, last = key.split(".")
        section = content
        for parent in parents:
            section = section[parent]
        section[last] = value
    yaml.dump(content, Path("params.yaml"))


def _write_traces() -> None:
    """Write problems, pairs, and traces with verdicts and ratings of every generator."""
    source = random.Random(1)
    generators = list(params.get("generators"))
    ids = [f"sums.{number}" for number in range(PROBLEMS)]
    for strength, name in enumerate(generators, start=1):
        traces, verdicts, ratings = [], [], []
        for problem in ids:
            for sample in range(2):
                row = {"trace_id": f"{problem}/{name}/{sample}", "problem_id": problem}
                traces.append(row | {"generator": name, "sample": sample, "text": "4 + 5 = 9"})
                outcome = "correct" if source.random() < strength / 10 else "incorrect"
                verdicts.append({"trace_id": row["trace_id"], "outcome": outcome})
                ratings += [
                    _rating(row["trace_id"], dimension, min(5, source.randint(1, 1 + strength)))
                    for dimension in DIMENSIONS
                ]
        tables.write(paths.traces(name), tables.frame_of(traces, TRACE), TRACE)
        tables.write(paths.verdicts(name), tables.frame_of(verdicts, VERDICT), VERDICT)
        tables.write(paths.ratings(name), tables.frame_of(ratings, RATING), RATING)
        tables.write(paths.second_ratings(name), tables.frame_of([], RATING), RATING)
    problems = [_problem(problem, source) for problem in ids]
    tables.write(paths.PROBLEMS, tables.frame_of(problems, PROBLEM), PROBLEM)
    pairs = [
        {
            "pair_id": problem,
            "problem_id": problem,
            "chosen_id": f"{problem}/solver-strong/0",
            "rejected_id": f"{problem}/solver-weak/0",
            "length_difference": -source.randint(20, 160),
            "chosen_outcome": "correct",
            "rejected_outcome": "incorrect",
        }
        for problem in ids
    ]
    tables.write(paths.PAIRS, tables.frame_of(pairs, PAIR), PAIR)


def _problem(problem_id: str, source: random.Random) -> Row:
    """Return a sum of three numbers with its steps."""
    a, b, c = (source.randint(1, 9) for _ in range(3))
    steps = [[a, "+", b, a + b], [a + b, "+", c, a + b + c]]
    row: Row = {"problem_id": problem_id, "statement": f"What is {a} + {b} + {c}?"}
    return row | {"gold_answer": str(a + b + c), "metadata": json.dumps({"steps": steps})}


def _rating(trace_id: str, dimension: str, vote: int) -> Row:
    row: Row = {"trace_id": trace_id, "judge": "rules", "dimension": dimension}
    return row | {"votes": [vote], "refused": 0}


def _write_results(own: dict[str, float]) -> None:
    """Write results of experiments: those of `own` with these fractions of right answers."""
    content = params.read_all()
    of_paper = params.load_sections("experiments", ExperimentParams, ROOT / "params.yaml")
    for name, experiment in params.load_sections("experiments", ExperimentParams).items():
        for spec in expand_grid(content, name, experiment):
            fraction = own.get("-".join([name, *spec.axes.values()]))
            if fraction is None and name in of_paper:
                fraction = OF_PAPER
            if fraction is not None:
                kept = with_changes(content, spec.changes, name)["selector"]["k"] or PROBLEMS
                results.write(_result(spec, kept, fraction))


def _result(spec: RunSpec, pairs: int, fraction: float) -> Result:
    """Return the result of a training on this many pairs."""
    source = random.Random(spec.key)
    scores, answers = {}, {}
    for name, benchmark in params.load_sections("benchmarks", BenchmarkParams).items():
        questions = benchmark.questions or 0
        correct = tuple(int(source.random() < fraction) for _ in range(questions))
        interval = wilson(sum(correct) / questions, questions)._asdict()
        numbers = {"n": questions, "samples": 1, "ungradable": 0, "truncated": 0}
        named = {"group": benchmark.group, "benchmark_version": _version(name)}
        scores[name] = interval | numbers | named
        answers[name] = AnswerCounts(1, correct)
    return Result(
        key=spec.key,
        name=spec.name,
        changes=spec.changes,
        commit="0123abcd",
        date="2026-11-30",
        seconds=None,
        counts={
            "pair": {"pairs": PROBLEMS},
            "select": {
                "pairs": PROBLEMS,
                "selected": pairs,
                "mean_delta": dict.fromkeys(DIMENSIONS, 0.5),
                "mean_delta_selected": 1.5,
                "mean_rating_selected": {
                    "chosen": dict.fromkeys(DIMENSIONS, 4.5),
                    "rejected": dict.fromkeys(DIMENSIONS, 3.0),
                },
            },
            "train": {"pairs_kept": pairs, "machine": MACHINE},
        },
        scores=scores,
        answers=answers,
    )


def _version(benchmark: str) -> str:
    return f"{benchmark}: made up"


def _write_counts() -> None:
    for name in params.get("generators"):
        write_counts(paths.counts("judge", name), {"votes": 530, "refused": 0}, "judge", name)
    write_counts(paths.counts("problems"), {"drawn": 64, "kept": PROBLEMS}, "problems")
    pair = {"pairs": PROBLEMS, "recipe": "solver-strong > solver-weak"}
    write_counts(paths.counts("pair"), pair, "pair")
    steps = json.loads(paths.counts("select").read_text())["select"]["selected"]
    train = {"pairs_kept": steps, "steps": steps, "rows_held_out": 0, "machine": MACHINE}
    train |= {"first_loss": 0.6931, "last_loss": 0.0652, "last_margin": 2.6969}
    write_counts(paths.counts("train"), train, "train")
    header = "step\tloss\trewards_margins\trewards_chosen\trewards_rejected"
    curves = [(step, 0.69 / step, 0.17 * step, -0.02 * step) for step in range(1, steps + 1)]
    lines = [
        f"{step}\t{loss:.4f}\t{margin:.4f}\t{chosen:.4f}\t{chosen - margin:.4f}"
        for step, loss, margin, chosen in curves
    ]
    paths.TRAINING_HISTORY.write_text("\n".join([header, *lines]) + "\n")
    paths.HELD_OUT.write_text("step\tloss\n")


def _write_answers(model: str, scores: dict[str, float]) -> None:
    benchmarks = params.load_sections("benchmarks", BenchmarkParams)
    counts = {}
    for name, benchmark in benchmarks.items():
        source = random.Random(f"{model} {name}")
        questions, answers = [], []
        for number in range(benchmark.questions or 0):
            first, second = 2 + number % 8, 3 + number // 8
            statement = f"What is {first} * {second}?"
            gold = str(first * second)
            row = {"question_id": f"{name}.{number}", "grader": "math"}
            questions.append(row | {"statement": statement, "gold_answer": gold})
            right = source.random() < scores.get(name, 0.0)
            answer = _answer(f"{first} * {second}", gold, right, source)
            answers.append(row | {"benchmark": name, "sample": 0, "gold_answer": gold} | answer)
        frame = tables.frame_of(answers, ANSWER)
        asked = tables.frame_of(questions, QUESTION)
        tables.write(paths.questions(name), asked, QUESTION)
        tables.write(paths.answers(model, name), frame, ANSWER)
        counts[name] = score(benchmark, _version(name), asked, frame)
    write_counts(paths.score(model), counts, model)


def _answer(task: str, gold: str, right: bool, source: random.Random) -> Row:
    """Return an answer; nine of ten wrong ones have a box, and the others another form."""
    value = gold if right else str(int(gold) + source.randint(1, 9))
    if right or source.random() < 0.9:
        text = f"{task} = {value}. The answer is \\boxed{{{value}}}."
        answer: Row = {"outcome": "correct" if right else "incorrect", "extracted": value}
        answer["reason"] = None if right else "different"
    else:
        text = f"The result is {value}."
        answer = {"outcome": "incorrect", "extracted": None, "reason": "no_box"}
    flexible = "correct" if right else "incorrect"
    answer |= {"text": text, "finish_reason": "stop", "flexible_outcome": flexible}
    return answer | {"completion_tokens": len(text.split())}

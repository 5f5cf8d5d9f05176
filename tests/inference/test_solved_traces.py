"""A generator that is a solver: its traces are computed from the steps of the problems."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from delta.check import check_content
from delta.core import fingerprint
from delta.core.errors import InputError
from delta.core.schemas import PROBLEM, TRACE
from delta.core.tables import frame_of
from delta.data import fetch
from delta.data.arithmetic import ArithmeticParams, Options
from delta.data.fetch import ModelParams
from delta.data.problems import ProblemSource, build_problems
from delta.inference import chat_formats
from delta.inference.generate import SolvedParams, solved_traces
from tests.helpers.params_file import CONTENT
from tests.helpers.user_tables import problems_params

PLAIN = chat_formats.load("plain")
SUMS = ArithmeticParams(
    kind="expression",
    seed=3,
    problems=5,
    options=Options(terms=3, operators="+", lowest=1, highest=9),
)
PROBLEMS = build_problems(problems_params(sources={"sums": ProblemSource(arithmetic=SUMS)}), {})[0]


def solver(**changes: Any) -> SolvedParams:
    values: dict[str, Any] = {"model": "solver", "faults": {}, "samples": 2, "seed": 1}
    return SolvedParams.model_validate(values | changes)


def test_without_faults_every_trace_is_the_right_solution() -> None:
    traces, planted = solved_traces("strong", solver(), PROBLEMS, PLAIN)
    assert traces.schema == TRACE.columns
    assert traces["trace_id"].to_list()[:2] == ["sums.0/strong/0", "sums.0/strong/1"]
    assert planted == {}
    boxes = [text.rsplit("\n", 1)[1] for text in traces["text"]]
    assert boxes == [rf"\boxed{{{gold}}}" for gold in PROBLEMS["gold_answer"] for _ in range(2)]
    assert traces["finish_reason"].unique().to_list() == ["stop"]
    assert traces["completion_tokens"].null_count() == traces.height


def test_planted_faults_are_counted_and_a_trace_depends_on_no_other() -> None:
    faulty = solver(faults={"repetition": 1.0, "slip": 0.5}, samples=4)
    traces, planted = solved_traces("weak", faulty, PROBLEMS, PLAIN)
    assert planted["repetition"] == 20
    assert 0 < planted["slip"] < 40  # of two steps in each of 20 traces
    fewer, _ = solved_traces("weak", faulty.model_copy(update={"samples": 2}), PROBLEMS[2:], PLAIN)
    same = traces.filter(traces["trace_id"].is_in(fewer["trace_id"].implode()))
    assert same.equals(fewer)
    other, _ = solved_traces("weak", faulty.model_copy(update={"seed": 2}), PROBLEMS, PLAIN)
    assert other["text"].to_list() != traces["text"].to_list()


def test_problems_without_steps_are_an_error() -> None:
    problem = {"problem_id": "mine.0", "metadata": "{}", "history": []}
    with pytest.raises(InputError, match=r"generators\.weak: problem mine\.0 has no steps"):
        solved_traces("weak", solver(), frame_of([problem], PROBLEM), PLAIN)


def test_the_folder_of_a_solver_holds_its_name(tmp_path: Path) -> None:
    source = ModelParams(solver="arithmetic")
    digest = fetch.fetch("solver", source, tmp_path / "solver", lambda _: None)
    assert (tmp_path / "solver/solver.json").read_text() == '{"solver": "arithmetic"}\n'
    assert fingerprint.read_fingerprint(tmp_path / "solver") == digest
    assert source.origin == "solver, arithmetic"
    assert not source.has_weights
    assert not source.is_asked


TASK = {"task": {"task": "chain_sum", "seed": 1, "problems": 9, "options": {}}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda c: c["generators"]["solver-weak"].update(model="early"),
            "generators.solver-weak.model = 'early': no solver; expected solver",
        ),
        (
            lambda c: c["generators"]["early"].update(model="solver"),
            "generators.early.model = 'solver': not declared; expected smollm2-135m, early, warm",
        ),
        (
            lambda c: c["train"].update(base="solver"),
            "train.base = 'solver': not declared; expected smollm2-135m, early, warm",
        ),
        (
            lambda c: c["generators"]["solver-weak"]["faults"].update(slip=2),
            "generators.solver-weak.faults.slip = 2: should be less than or equal to 1",
        ),
        (
            lambda c: c["generators"]["solver-weak"]["faults"].update(typo=0.1),
            "generators.solver-weak.faults.typo",
        ),
        (
            lambda c: c["problems"]["sources"].update(mine=TASK),
            "generators.solver-weak: problems.sources.mine is of the kind task, whose problems "
            "have no steps; expected arithmetic",
        ),
        (
            lambda c: c["models"]["solver"].update(solver="geometry"),
            "models.solver.solver = 'geometry': should be 'arithmetic'",
        ),
    ],
)
def test_a_solver_cannot_be_asked_and_solves_only_what_has_steps(
    change: Callable[[dict[str, Any]], object], message: str
) -> None:
    content = copy.deepcopy(CONTENT)
    change(content)
    with pytest.raises(InputError) as caught:
        check_content(content, "params.yaml")
    assert str(caught.value).startswith(f"params.yaml: {message}")

"""The worker pool gives a verdict for every case, in order, even if an answer kills its worker."""

import importlib.util
import json
import os
import time
from pathlib import Path

import pytest

from delta.core.errors import InputError
from delta.grading.config import GradingParams
from delta.grading.grade_all import check_max_ungradable, count_verdicts, grade_all
from delta.grading.graders import Case, grade_case
from delta.grading.verdict import Verdict
from tests.helpers.grading_params import PARAMS

HARD = PARAMS.model_copy(update={"timeout_s": 1.0})
EIGHT = Case("math", "8", r"\boxed{5 + 3}", "stop")
RIGHT = Verdict("correct", "5 + 3", None)


def math_case(answer: str, gold: str = "8") -> Case:
    return Case("math", gold, answer, "stop")


def harmful(params: GradingParams, case: Case) -> Verdict:
    """Grade, except that an answer of one word, such as `exit`, has that effect."""
    if case.answer == "raise":
        raise ZeroDivisionError(case.gold_answer)
    if case.answer == "input":
        raise InputError("no sandbox")
    if case.answer == "exit":
        os._exit(7)
    if case.answer == "recurse":
        return harmful(params, case)
    return grade_case(params, case)


@pytest.mark.slow
def test_verdicts_of_all_graders_come_in_the_order_of_cases() -> None:
    cases = [
        Case("choice", "B", "The answer is (B).", "stop"),
        EIGHT,
        Case(
            "theorem", json.dumps({"answer_type": "bool", "answer": True}), r"\boxed{Yes}", "stop"
        ),
        Case("choice", "B", None, "length"),
    ]
    assert list(grade_all(PARAMS, cases)) == [
        Verdict("correct", "B", None),
        RIGHT,
        Verdict("correct", "Yes", None),
        Verdict("incorrect", None, "cut"),
    ]


def test_the_parameter_extraction_decides_how_the_answer_is_found() -> None:
    case = math_case(r"\boxed{7} no: \boxed{8}")
    papers = PARAMS.model_copy(update={"extraction": "math_verify"})
    assert grade_case(PARAMS, case) == Verdict("correct", "8", None)
    assert grade_case(papers, case) == Verdict("incorrect", "7,8", "different")


def test_an_unknown_grader_is_an_error() -> None:
    with pytest.raises(ValueError, match="grader 'essay'"):
        grade_case(PARAMS, Case("essay", "8", "8", "stop"))


@pytest.mark.slow
def test_a_crash_costs_no_other_answer_its_verdict() -> None:
    answers = ["raise", "exit", "recurse", "1 + 1 = 2. " * 2_300]
    cases = [case for answer in answers for case in (math_case(answer), EIGHT)]
    verdicts = list(grade_all(PARAMS, cases, harmful))
    assert verdicts[1::2] == [RIGHT] * 4
    assert verdicts[::2] == [
        Verdict("ungradable", None, "ZeroDivisionError in the grader"),
        Verdict("ungradable", None, "worker died with exit code 7"),
        Verdict("ungradable", None, "RecursionError in the grader"),
        Verdict("incorrect", None, "no_box"),
    ]
    counts = count_verdicts(verdicts)
    assert counts == {
        "graded": 8,
        "correct": 4,
        "incorrect": 1,
        "ungradable": 3,
        "reasons": {
            "RecursionError in the grader": 1,
            "ZeroDivisionError in the grader": 1,
            "no_box": 1,
            "worker died with exit code 7": 1,
        },
    }
    check_max_ungradable("verify", PARAMS, counts)


@pytest.mark.slow
def test_an_input_error_stops_grading() -> None:
    with pytest.raises(InputError, match="no sandbox"):
        list(grade_all(PARAMS, [Case("choice", "B", "input", "stop")], harmful))


HOSTILE = {
    "power tower": r"\boxed{9^{9^{9}}}",
    "taller power tower": r"\boxed{9^{9^{9^{9}}}}",
    "factorial of a billion": r"\boxed{(10^9)!}",
    "factorial of a factorial": r"\boxed{((10!)!)!}",
    "huge binomial": r"\boxed{\binom{10^9}{5 \cdot 10^8}}",
    "huge exponent": r"\boxed{1e999999999}",
    "400 brackets": r"\boxed{" + "(" * 400 + "7" + ")" * 400 + "}",
    "400 braces": r"\boxed{" + "{" * 400 + "7" + "}" * 400 + "}",
    "400 roots": r"\boxed{" + r"\sqrt{" * 120 + "7" + "}" * 120 + "}",
    "999 letters": r"\boxed{5 " + "a" * 900 + " 7}",
    "25,000 characters without a box": "1 + 1 = 2. " * 2_300,
    "25,000 characters in a box": r"\boxed{" + "1+" * 12_500 + "1}",
    "3,500 open boxes": r"\boxed{" * 3_500,
}


@pytest.mark.slow
@pytest.mark.parametrize("extraction", ["last_box", "math_verify"])
def test_hostile_answers_end_within_the_time_limit_and_are_never_correct(extraction: str) -> None:
    params = HARD.model_copy(update={"extraction": extraction})
    cases = [case for answer in HOSTILE.values() for case in (math_case(answer), EIGHT)]
    start = time.monotonic()
    verdicts = list(grade_all(params, cases))
    # Each may take a second, and a new worker takes seconds to start on a busy machine.
    assert time.monotonic() - start < 300
    assert verdicts[1::2] == [RIGHT._replace(extracted=verdicts[1].extracted)] * len(HOSTILE)
    for name, verdict in zip(HOSTILE, verdicts[::2], strict=True):
        assert verdict.outcome in ("incorrect", "ungradable"), name
        assert verdict.reason, name


def test_hostile_theorem_answers_are_never_correct() -> None:
    gold = json.dumps({"answer_type": "float", "answer": 8.0})
    verdict = grade_case(PARAMS, Case("theorem", gold, r"\boxed{1e999999999}", "stop"))
    assert verdict.outcome in ("incorrect", "ungradable")


@pytest.mark.slow
def test_gmpy2_is_never_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # With gmpy2, no timer interrupts (10^8)!; a user's environment may have it.
    marker = tmp_path / "imported"
    (tmp_path / "gmpy2.py").write_text(f"open({str(marker)!r}, 'w')")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{Path.cwd()}")
    assert list(grade_all(PARAMS, [EIGHT])) == [RIGHT]
    assert not marker.exists()


def test_gmpy2_is_not_in_the_environment() -> None:
    assert importlib.util.find_spec("gmpy2") is None


def test_too_many_ungradable_answers_are_an_error() -> None:
    verdicts = [Verdict("ungradable", None, "timeout")] * 3 + [Verdict("correct", "8", None)] * 2
    with pytest.raises(InputError) as caught:
        check_max_ungradable("verify", PARAMS, count_verdicts(verdicts))
    assert str(caught.value) == (
        "verify: 3 of 5 answers are ungradable ({'timeout': 3}); expected a fraction of at most "
        "grading.max_ungradable = 0.5"
    )

"""Grade one answer by the grader of its kind."""

from collections.abc import Callable
from typing import NamedTuple

from delta.grading import choice_grader, code_grader, math_grader, theoremqa_grader
from delta.grading.config import GradingParams
from delta.grading.verdict import Verdict

NEED_MATH_VERIFY = ("math", "theorem")  # graders


class Case(NamedTuple):
    """An answer to grade. `answer` is the reply after its reasoning; None: cut before that."""

    grader: str  # one of delta.core.schemas.GRADERS
    gold_answer: str
    answer: str | None
    finish_reason: str


Grade = Callable[[GradingParams, Case], Verdict]


def grade_case(params: GradingParams, case: Case) -> Verdict:
    """Return the verdict of the case's grader, in this process and without a time limit."""
    arguments = case.gold_answer, case.answer, case.finish_reason
    match case.grader:
        case "math" if params.extraction == "math_verify":
            return math_grader.grade_as_math_verify(*arguments)
        case "math":
            return math_grader.grade(*arguments)
        case "choice":
            return choice_grader.grade(*arguments)
        case "theorem":
            return theoremqa_grader.grade(*arguments)
        case "code":
            return code_grader.grade(*arguments, params.code)
    raise ValueError(f"grader {case.grader!r}")


def needs_math_verify(case: Case) -> bool:
    """Return whether the case's grader needs a worker with Math-Verify."""
    return case.grader in NEED_MATH_VERIFY

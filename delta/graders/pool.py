"""Grading in worker processes that are killed when an answer takes too long.

Math-Verify's own timeouts are alarms that some answers outlive (`(10^9)!`, power towers), so every
answer has a wall-clock limit after which its worker dies (paper, section 3.1).
"""

import contextlib
import ctypes
import itertools
import logging
import multiprocessing
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import TimeoutError as OverTime
from typing import Annotated, Any, Literal, NamedTuple

from pebble import ProcessExpired, ProcessPool
from pydantic import Field

from delta.errors import InputError
from delta.graders import Verdict, choice, code, math, theorem
from delta.graders.sandbox import CodeParams
from delta.params import Section
from delta.records import OUTCOMES

Counts = dict[str, Any]
CHUNK = 1_000  # answers in flight: memory grows with this, not with the data
BY_FORMULA = ("math", "theorem")  # graders that need Math-Verify
PR_SET_PDEATHSIG = 1  # of prctl(2)
MOST_TESTS = 200  # of one program; each has its own limit, the pool's only ends a stuck worker


class GradingParams(Section):
    # local: one pool on this machine. ray: one for every so many processors of the Ray cluster that
    # this machine belongs to, or $RAY_ADDRESS names.
    where: Literal["local", "ray"]
    workers: Annotated[int, Field(ge=1)]  # of a pool
    # Wall-clock seconds for one answer, then its worker dies; a program has the seconds of
    # MOST_TESTS tests more.
    limit_s: Annotated[float, Field(gt=0)]
    max_ungradable: Annotated[float, Field(ge=0, le=1)]  # share above which the stage fails
    # How the grader `math` finds the answer: the last box, or as Math-Verify does (in papers).
    extraction: Literal["last_box", "math_verify"]
    code: CodeParams


class Case(NamedTuple):
    """One answer to grade. `answer` is the reply after its reasoning; None: cut before that."""

    grader: str  # one of delta.records.GRADERS
    gold_answer: str
    answer: str | None
    finish_reason: str


Grade = Callable[[GradingParams, Case], Verdict]


def graded(params: GradingParams, case: Case) -> Verdict:
    """The verdict of the case's grader; without a limit, in this process."""
    given = case.gold_answer, case.answer, case.finish_reason
    match case.grader:
        case "math" if params.extraction == "math_verify":
            return math.grade_as_math_verify(*given)
        case "math":
            return math.grade(*given)
        case "choice":
            return choice.grade(*given)
        case "theorem":
            return theorem.grade(*given)
        case "code":
            return code.grade(*given, params.code)
    raise ValueError(f"grader {case.grader!r}")


def outcomes(
    params: GradingParams,
    cases: Iterable[Case],
    grade: Grade = graded,
) -> Iterator[Verdict]:
    """One verdict for every case, in order, whatever happens."""
    if params.where == "ray":
        from delta.graders import spread

        yield from spread.outcomes(params, cases, grade)
        return
    for by_formula, run in itertools.groupby(cases, needs_math_verify):
        with open_pool(params, by_formula) as pool:
            while chunk := list(itertools.islice(run, CHUNK)):
                yield from graded_in(pool, params, chunk, grade)


def needs_math_verify(case: Case) -> bool:
    return case.grader in BY_FORMULA


@contextlib.contextmanager
def open_pool(params: GradingParams, by_formula: bool) -> Iterator[ProcessPool]:
    """Workers; Math-Verify is loaded for seconds, so only into those of answers that need it."""
    # Spawned, not forked: a fork of a process with threads can hang in the child.
    context = multiprocessing.get_context("spawn")
    initializer = _warm if by_formula else _without_gmpy
    with ProcessPool(params.workers, context=context, initializer=initializer) as pool:
        try:
            yield pool
        except BaseException:
            pool.stop()  # type: ignore[no-untyped-call]  # leaving the pool would wait for all that is queued
            raise


def graded_in(
    pool: ProcessPool, params: GradingParams, cases: Iterable[Case], grade: Grade
) -> Iterator[Verdict]:
    futures = [
        pool.schedule(grade, args=[params, case], timeout=_limit(params, case)) for case in cases
    ]
    yield from map(_verdict, futures)


def _limit(params: GradingParams, case: Case) -> float:
    return params.limit_s + (MOST_TESTS * params.code.limit_s if case.grader == "code" else 0)


def _verdict(future: Any) -> Verdict:
    try:
        verdict: Verdict = future.result()
    except OverTime:
        return Verdict("ungradable", None, "timeout")
    except ProcessExpired as error:
        return Verdict("ungradable", None, f"worker died with exit code {error.exitcode}")
    except InputError:
        raise  # no sandbox on this machine: the user's to mend, not the answer's fault
    except Exception as error:  # noqa: BLE001 - a crash is a reason, never a wrong answer
        return Verdict("ungradable", None, f"{type(error).__name__} in the grader")
    return verdict


def _without_gmpy() -> None:
    """With gmpy2 some answers ((10^8)!, huge binomials) never let go of the processor."""
    _end_with_parent()
    sys.modules["gmpy2"] = None  # type: ignore[assignment]  # an import of it now fails


def _end_with_parent() -> None:
    """A worker that is stuck in an answer would outlive a parent that is killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _warm() -> None:
    """The first parse compiles grammars for seconds; that must not count against an answer."""
    _without_gmpy()
    # Every parse without Math-Verify's own alarm is a warning; the hard kill is our limit.
    logging.getLogger("math_verify").setLevel(logging.ERROR)
    math.grade(r"\sqrt{2}", r"\boxed{\sqrt{3} + x}", "stop")


def count(verdicts: list[Verdict]) -> Counts:
    by_outcome = Counter(verdict.outcome for verdict in verdicts)
    by_reason = Counter(verdict.reason for verdict in verdicts if verdict.reason)
    return {
        "graded": len(verdicts),
        **{outcome: by_outcome[outcome] for outcome in OUTCOMES},
        "reasons": dict(sorted(by_reason.items())),
    }


def check_share(what: str, params: GradingParams, counts: Counts) -> None:
    share = counts["ungradable"] / max(1, counts["graded"])
    if share > params.max_ungradable:
        raise InputError(
            f"{what}: {counts['ungradable']} of {counts['graded']} answers are ungradable "
            f"({counts['reasons']}), allowed: a share of grading.max_ungradable = "
            f"{params.max_ungradable}"
        )

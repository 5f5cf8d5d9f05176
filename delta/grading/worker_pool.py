"""Grading in worker processes that are killed when an answer takes too long.

Math-Verify's own timeouts are alarms that some answers outlive (`(10^9)!`, power towers), so every
answer has a wall-clock limit after which its worker dies (paper, section 3.1): the kernel ends it,
by a timer that no handler catches. What else the worker was given is then graded by another.
"""

import contextlib
import ctypes
import itertools
import multiprocessing
import queue
import signal
import sys
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Any, Literal, NamedTuple

from pebble import ProcessExpired, ProcessPool
from pydantic import Field

from delta.core.errors import InputError
from delta.core.params import StrictModel
from delta.core.types import Counts
from delta.grading import choice, code, math, theoremqa
from delta.grading.sandbox import CodeParams
from delta.grading.verdict import Verdict

IN_FLIGHT = 100  # batches given to workers: memory grows with this, not with the data
BATCH = 16  # answers to a few problems, graded by one worker, which remembers what it compared
BY_FORMULA = ("math", "theorem")  # graders that need Math-Verify
MOST_TESTS = 200  # of one program; each has its own limit, the answer's only ends a stuck worker
NOT_BEGUN = -1
PR_SET_PDEATHSIG = 1  # of prctl(2)
NO_VERDICT = Verdict("ungradable", None, "no_verdict")


class GradingParams(StrictModel):
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

    grader: str  # one of delta.core.schemas.GRADERS
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
            return theoremqa.grade(*given)
        case "code":
            return code.grade(*given, params.code)
    raise ValueError(f"grader {case.grader!r}")


def needs_math_verify(case: Case) -> bool:
    return case.grader in BY_FORMULA


class _Batch:
    """Cases that one worker grades, and the verdicts on those that are through."""

    def __init__(self, cases: list[Case], slot: int) -> None:
        self.cases: list[Case | None] = list(cases)  # None: through
        self.slot = slot  # where its worker writes which case it is at
        self.verdicts: list[Verdict] = [NO_VERDICT] * len(cases)
        self.error: BaseException | None = None
        self.done = threading.Event()

    def decide(self, place: int, verdict: Verdict) -> None:
        self.cases[place], self.verdicts[place] = None, verdict

    def result(self) -> list[Verdict]:
        self.done.wait()
        if self.error:
            raise self.error
        return self.verdicts


class Pool:
    """Workers on this machine, at work on at most IN_FLIGHT batches."""

    def __init__(self, pool: ProcessPool, params: GradingParams, grade: Grade, places: Any) -> None:
        self.pool, self.params, self.grade, self.places = pool, params, grade, places
        self.free: queue.SimpleQueue[int] = queue.SimpleQueue()
        for slot in range(IN_FLIGHT):
            self.free.put(slot)

    def outcomes(self, cases: Iterable[Case]) -> Iterator[Verdict]:
        """One verdict for every case, in order."""
        waiting: deque[_Batch] = deque()
        for batch in _batches(cases):
            waiting.append(self._begin(batch))
            while waiting and waiting[0].done.is_set():
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()

    def _begin(self, cases: list[Case]) -> _Batch:
        batch = _Batch(cases, self.free.get())
        self._give(batch)
        return batch

    def _give(self, batch: _Batch) -> None:
        self.places[batch.slot] = NOT_BEGUN
        left = [(place, case) for place, case in enumerate(batch.cases) if case is not None]
        args = [self.grade, self.params, [case for _, case in left], batch.slot]
        future = self.pool.schedule(_graded, args=args)
        future.add_done_callback(lambda done: self._settle(batch, [at for at, _ in left], done))

    def _settle(self, batch: _Batch, left: list[int], future: Any) -> None:
        try:
            if self._is_unfinished(batch, left, future):
                self._give(batch)
                return
        except BaseException as error:  # noqa: BLE001 - the user's mistake, or a broken pool
            batch.error = error
        batch.done.set()
        self.free.put(batch.slot)

    def _is_unfinished(self, batch: _Batch, left: list[int], future: Any) -> bool:
        """Whether cases are left over because their worker died of another."""
        try:
            for place, verdict in zip(left, future.result(), strict=True):
                batch.decide(place, verdict)
        except ProcessExpired as error:
            # Who dies before the first case counts as dead of that one: so this comes to an end.
            batch.decide(left[max(0, self.places[batch.slot])], _of_the_dead(error.exitcode))
        return any(case is not None for case in batch.cases)


@contextlib.contextmanager
def open_pool(params: GradingParams, grade: Grade, by_formula: bool) -> Iterator[Pool]:
    """Workers; Math-Verify is loaded for seconds, so only into those of answers that need it."""
    # Never a fork of this process: one of a process with threads can hang in the child.
    context: Any = multiprocessing.get_context("forkserver" if by_formula else "spawn")
    if by_formula:
        context.set_forkserver_preload(["delta.grading.worker_preload"])
    places = context.RawArray("i", IN_FLIGHT)
    with ProcessPool(
        params.workers, context=context, initializer=_begin, initargs=[places, by_formula]
    ) as pool:
        try:
            yield Pool(pool, params, grade, places)
        except BaseException:
            pool.stop()  # type: ignore[no-untyped-call]  # leaving the pool would wait for all that is queued
            raise


def _batches(cases: Iterable[Case]) -> Iterator[list[Case]]:
    """As they come, so that the traces of a problem are mostly together; programs, which take long,
    each alone."""
    for grader, same in itertools.groupby(cases, lambda case: case.grader):
        while batch := list(itertools.islice(same, 1 if grader == "code" else BATCH)):
            yield batch


def _of_the_dead(exit_code: int | None) -> Verdict:
    if exit_code == -signal.SIGALRM:
        return Verdict("ungradable", None, "timeout")
    return Verdict("ungradable", None, f"worker died with exit code {exit_code}")


def _limit(params: GradingParams, case: Case) -> float:
    return params.limit_s + (MOST_TESTS * params.code.limit_s if case.grader == "code" else 0)


_places: list[Any] = []  # in a worker: by slot, the place in its batch of the case that is graded


def _begin(places: Any, by_formula: bool) -> None:
    """A worker's first act. Its first parse would take seconds that must not count."""
    if sys.platform == "linux":  # one that is stuck in an answer would outlive a killed parent
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    _places[:] = [places]
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    if by_formula:
        import delta.grading.worker_preload  # noqa: F401 - it is its import that warms
    else:
        sys.modules["gmpy2"] = None  # type: ignore[assignment]  # as in warmed


def _graded(grade: Grade, params: GradingParams, cases: list[Case], slot: int) -> list[Verdict]:
    verdicts = []
    for place, case in enumerate(cases):
        _places[0][slot] = place
        signal.setitimer(signal.ITIMER_REAL, _limit(params, case))
        try:
            verdicts.append(grade(params, case))
        except InputError:
            raise  # no sandbox on this machine: the user's to mend, not the answer's fault
        except Exception as error:  # noqa: BLE001 - a crash is a reason, never a wrong answer
            reason = f"{type(error).__name__} in the grader"
            verdicts.append(Verdict("ungradable", None, reason))
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    return verdicts


def count(verdicts: list[Verdict]) -> Counts:
    from delta.core.schemas import OUTCOMES  # not above: it loads polars, which no worker needs

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

"""Grade in worker processes that are killed when an answer takes too long (paper, section 3.1).

Math-Verify's own timeouts are alarms that some answers outlive ((10^9)!, power towers), so every
answer has a wall-clock limit after which its worker dies: the kernel ends it, by a timer that no
handler catches. The other answers that the worker had are then graded by another.
"""

import contextlib
import ctypes
import itertools
import multiprocessing
import os
import queue
import signal
import sys
import tempfile
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pebble import ProcessExpired, ProcessPool
from pydantic import Field

from delta.core.errors import InputError
from delta.core.params import StrictModel
from delta.core.types import Counts
from delta.grading import choice, code, math, theoremqa
from delta.grading.sandbox import CodeParams
from delta.grading.verdict import Verdict

MAX_BATCHES = 100  # given to workers: memory grows with this, not with the data
BATCH = 16  # answers to a few problems, graded by one worker, which remembers what it compared
NEED_MATH_VERIFY = ("math", "theorem")  # graders
MAX_TESTS = 200  # of one program; each has its own limit, the answer's only ends a stuck worker
NOT_BEGUN = 255  # in place of an index in a batch
PR_SET_PDEATHSIG = 1  # of prctl(2)
# With gmpy2 some answers ((10^8)!, huge binomials) never let go of the processor.
WITHOUT_GMPY2 = {"SYMPY_GROUND_TYPES": "python", "MPMATH_NOGMPY": "1"}


class GradingParams(StrictModel):
    # local: one pool on this machine. ray: one for every `workers` processors of the Ray cluster
    # that this machine belongs to, or $RAY_ADDRESS names.
    backend: Literal["local", "ray"]
    workers: Annotated[int, Field(ge=1)]  # of a pool
    # Wall-clock seconds for one answer, then its worker dies; a program has the seconds of
    # MAX_TESTS tests more.
    timeout_s: Annotated[float, Field(gt=0)]
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


def grade_case(params: GradingParams, case: Case) -> Verdict:
    """Return the verdict of the case's grader, in this process and without a time limit."""
    arguments = case.gold_answer, case.answer, case.finish_reason
    match case.grader:
        case "math" if params.extraction == "math_verify":
            return math.grade_as_math_verify(*arguments)
        case "math":
            return math.grade(*arguments)
        case "choice":
            return choice.grade(*arguments)
        case "theorem":
            return theoremqa.grade(*arguments)
        case "code":
            return code.grade(*arguments, params.code)
    raise ValueError(f"grader {case.grader!r}")


def needs_math_verify(case: Case) -> bool:
    return case.grader in NEED_MATH_VERIFY


class _Batch:
    """Cases that one worker grades, and their verdicts so far."""

    def __init__(self, cases: list[Case], slot: int) -> None:
        self.cases = cases
        self.slot = slot  # where its worker writes which case it grades
        self.verdicts: dict[int, Verdict] = {}
        self.error: BaseException | None = None
        self.done = threading.Event()

    def remaining(self) -> list[int]:
        return [index for index in range(len(self.cases)) if index not in self.verdicts]

    def result(self) -> list[Verdict]:
        self.done.wait()
        if self.error:
            raise self.error
        return [self.verdicts[index] for index in range(len(self.cases))]


class Pool:
    """Workers on this machine, busy with at most MAX_BATCHES batches.

    `progress` is a file with a byte for each batch: the index of the case that its worker grades.
    It outlives a worker that the kernel kills.
    """

    def __init__(
        self, pool: ProcessPool, params: GradingParams, grade: Grade, progress: Any
    ) -> None:
        self.pool, self.params, self.grade_case, self.progress = pool, params, grade, progress
        self.free_slots: queue.SimpleQueue[int] = queue.SimpleQueue()
        for slot in range(MAX_BATCHES):
            self.free_slots.put(slot)

    def grade(self, cases: Iterable[Case]) -> Iterator[Verdict]:
        """Yield one verdict for every case, in order."""
        waiting: deque[_Batch] = deque()
        for batch_cases in _batches(cases):
            batch = _Batch(batch_cases, self.free_slots.get())
            self._schedule(batch)
            waiting.append(batch)
            while waiting and waiting[0].done.is_set():
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()

    def _schedule(self, batch: _Batch) -> None:
        """Have a worker grade the cases of a batch that have no verdict."""
        os.pwrite(self.progress.fileno(), bytes([NOT_BEGUN]), batch.slot)
        indices = batch.remaining()
        cases = [batch.cases[index] for index in indices]
        args = [self.grade_case, self.params, cases, self.progress.name, batch.slot]
        future = self.pool.schedule(_grade_batch, args=args)
        future.add_done_callback(lambda future: self._finish(batch, indices, future))

    def _finish(self, batch: _Batch, indices: list[int], future: "Future[list[Verdict]]") -> None:
        try:
            try:
                batch.verdicts.update(zip(indices, future.result(), strict=True))
            except ProcessExpired as error:
                (index,) = os.pread(self.progress.fileno(), 1, batch.slot)
                # A worker that dies before its first case counts as dead of that one, so that a
                # batch comes to an end.
                killer = indices[0 if index == NOT_BEGUN else index]
                batch.verdicts[killer] = _verdict_of_dead_worker(error.exitcode)
            if batch.remaining():  # their worker died of another case
                self._schedule(batch)
                return
        except BaseException as error:  # noqa: BLE001 - the user's mistake, or a broken pool
            batch.error = error
        batch.done.set()
        self.free_slots.put(batch.slot)


@contextlib.contextmanager
def open_pool(params: GradingParams, grade: Grade, with_math_verify: bool) -> Iterator[Pool]:
    """Open a pool; loading Math-Verify takes seconds, so only for answers that need it."""
    os.environ.update(WITHOUT_GMPY2)  # inherited by the workers, which import the libraries
    # Never a fork of this process: one of a process with threads can hang in the child.
    context: Any = multiprocessing.get_context("forkserver" if with_math_verify else "spawn")
    if with_math_verify:
        context.set_forkserver_preload(["delta.grading.worker_preload"])
    with (
        tempfile.NamedTemporaryFile(prefix="delta-grading-", buffering=0) as progress,
        ProcessPool(
            params.workers, context=context, initializer=_start_worker, initargs=[with_math_verify]
        ) as pool,
    ):
        progress.write(bytes([NOT_BEGUN] * MAX_BATCHES))
        try:
            yield Pool(pool, params, grade, progress)
        except BaseException:
            pool.stop()  # type: ignore[no-untyped-call]  # leaving the pool would wait for all that is queued
            raise


def _batches(cases: Iterable[Case]) -> Iterator[list[Case]]:
    """Yield cases as they come, so that traces of a problem are together; each program alone."""
    for grader, group in itertools.groupby(cases, lambda case: case.grader):
        while batch := list(itertools.islice(group, 1 if grader == "code" else BATCH)):
            yield batch


def _verdict_of_dead_worker(exit_code: int | None) -> Verdict:
    timed_out = exit_code == -signal.SIGALRM
    return Verdict(
        "ungradable", None, "timeout" if timed_out else f"worker died with exit code {exit_code}"
    )


def _start_worker(with_math_verify: bool) -> None:
    """Prepare a worker. Its first parse would take seconds that must not count."""
    if sys.platform == "linux":  # one that is stuck in an answer would outlive a killed parent
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    if with_math_verify:
        import delta.grading.worker_preload  # noqa: F401 - its import loads the library


def _grade_batch(
    grade: Grade, params: GradingParams, cases: list[Case], progress: str, slot: int
) -> list[Verdict]:
    verdicts = []
    with Path(progress).open("r+b", buffering=0) as file:
        for index, case in enumerate(cases):
            os.pwrite(file.fileno(), bytes([index]), slot)
            tests_s = MAX_TESTS * params.code.timeout_s if case.grader == "code" else 0
            signal.setitimer(signal.ITIMER_REAL, params.timeout_s + tests_s)
            try:
                verdicts.append(grade(params, case))
            except InputError:
                raise  # no sandbox on this machine: the user's fault, not the answer's
            except Exception as error:  # noqa: BLE001 - a crash is a reason, never a wrong answer
                reason = f"{type(error).__name__} in the grader"
                verdicts.append(Verdict("ungradable", None, reason))
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
    return verdicts


def count_verdicts(verdicts: list[Verdict]) -> Counts:
    """Return how many verdicts there are, by outcome and by reason."""
    from delta.core.schemas import OUTCOMES  # not above: it loads polars, which no worker needs

    by_outcome = Counter(verdict.outcome for verdict in verdicts)
    by_reason = Counter(verdict.reason for verdict in verdicts if verdict.reason)
    return {
        "graded": len(verdicts),
        **{outcome: by_outcome[outcome] for outcome in OUTCOMES},
        "reasons": dict(sorted(by_reason.items())),
    }


def check_max_ungradable(where: str, params: GradingParams, counts: Counts) -> None:
    """Raise InputError where more than grading.max_ungradable of the answers are ungradable."""
    share = counts["ungradable"] / max(1, counts["graded"])
    if share > params.max_ungradable:
        raise InputError(
            f"{where}: {counts['ungradable']} of {counts['graded']} answers are ungradable "
            f"({counts['reasons']}); expected a share of at most grading.max_ungradable = "
            f"{params.max_ungradable}"
        )

"""Grade in worker processes that are killed when an answer takes too long (paper, section 3.1).

Some answers outlive the alarms of Math-Verify's timeouts ((10^9)!, power towers). So every answer
has a wall-clock limit, after which the kernel kills its worker by a timer that no handler catches.
Another worker then grades the remaining answers of the batch.
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

MAX_BATCHES = 100  # in flight: bounds the memory, whatever the size of the data
BATCH_SIZE = 16  # answers; those of a problem share a worker's cache of comparisons
NEED_MATH_VERIFY = ("math", "theorem")  # graders
MAX_TESTS = 200  # of a program; each test has its own limit, the answer's only ends a stuck worker
NOT_BEGUN = 255  # in place of the index of a case in its batch
PR_SET_PDEATHSIG = 1  # of prctl(2)
# With gmpy2, no timer interrupts some answers ((10^8)!, huge binomials).
WITHOUT_GMPY2 = {"SYMPY_GROUND_TYPES": "python", "MPMATH_NOGMPY": "1"}


class GradingParams(StrictModel):
    # local: one pool on this machine. ray: one pool for every `workers` processors of the Ray
    # cluster that this machine is in, or that $RAY_ADDRESS names.
    backend: Literal["local", "ray"]
    workers: Annotated[int, Field(ge=1)]  # of a pool
    # Wall-clock seconds for one answer, then its worker is killed. A program has the time of
    # MAX_TESTS tests in addition.
    timeout_s: Annotated[float, Field(gt=0)]
    max_ungradable: Annotated[float, Field(ge=0, le=1)]  # fraction; above it the stage fails
    # How the grader `math` finds the answer: the last box, or by Math-Verify (as in papers).
    extraction: Literal["last_box", "math_verify"]
    code: CodeParams


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
    """Cases that a worker grades, and their verdicts so far."""

    def __init__(self, cases: list[Case], slot: int) -> None:
        self.cases = cases
        self.slot = slot  # offset in the progress file
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
    """Workers on this machine, with at most MAX_BATCHES batches in flight.

    The file `progress` has a byte for each batch: the index of the case that its worker grades. It
    survives when the kernel kills a worker.
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
        """Submit the cases of a batch that have no verdict yet."""
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
                # If a worker dies before its first case, blame that case, so that the batch ends.
                killer = indices[0 if index == NOT_BEGUN else index]
                batch.verdicts[killer] = _verdict_of_dead_worker(error.exitcode)
            if batch.remaining():  # their worker was killed by another case
                self._schedule(batch)
                return
        except BaseException as error:  # noqa: BLE001 - the user's mistake, or a broken pool
            batch.error = error
        batch.done.set()
        self.free_slots.put(batch.slot)


@contextlib.contextmanager
def open_pool(params: GradingParams, grade: Grade, with_math_verify: bool) -> Iterator[Pool]:
    """Open a pool, with Math-Verify only if needed, because loading it takes seconds."""
    os.environ.update(WITHOUT_GMPY2)  # inherited by the workers, which import the libraries
    # Never fork this process: a fork of a process with threads can hang.
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
            pool.stop()  # type: ignore[no-untyped-call]  # closing the pool would wait for the queue
            raise


def _batches(cases: Iterable[Case]) -> Iterator[list[Case]]:
    """Group cases in order, so that the traces of a problem are together; each program is alone."""
    for grader, group in itertools.groupby(cases, lambda case: case.grader):
        while batch := list(itertools.islice(group, 1 if grader == "code" else BATCH_SIZE)):
            yield batch


def _verdict_of_dead_worker(exit_code: int | None) -> Verdict:
    timed_out = exit_code == -signal.SIGALRM
    return Verdict(
        "ungradable", None, "timeout" if timed_out else f"worker died with exit code {exit_code}"
    )


def _start_worker(with_math_verify: bool) -> None:
    """Prepare a worker, so that loading Math-Verify counts against no answer's time limit."""
    if sys.platform == "linux":  # else a stuck worker would outlive a killed parent
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
                raise  # no sandbox on this machine: not the answer's fault
            except Exception as error:  # noqa: BLE001 - a crash is a reason, never a wrong answer
                reason = f"{type(error).__name__} in the grader"
                verdicts.append(Verdict("ungradable", None, reason))
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
    return verdicts


def count_verdicts(verdicts: list[Verdict]) -> Counts:
    """Return the numbers of verdicts by outcome and by reason."""
    from delta.core.schemas import OUTCOMES  # not above: it loads polars, which no worker needs

    by_outcome = Counter(verdict.outcome for verdict in verdicts)
    by_reason = Counter(verdict.reason for verdict in verdicts if verdict.reason)
    return {
        "graded": len(verdicts),
        **{outcome: by_outcome[outcome] for outcome in OUTCOMES},
        "reasons": dict(sorted(by_reason.items())),
    }


def check_max_ungradable(where: str, params: GradingParams, counts: Counts) -> None:
    """Raise InputError if the ungradable fraction is above grading.max_ungradable."""
    share = counts["ungradable"] / max(1, counts["graded"])
    if share > params.max_ungradable:
        raise InputError(
            f"{where}: {counts['ungradable']} of {counts['graded']} answers are ungradable "
            f"({counts['reasons']}); expected a share of at most grading.max_ungradable = "
            f"{params.max_ungradable}"
        )

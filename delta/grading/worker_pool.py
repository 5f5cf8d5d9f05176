"""Grade in worker processes that are killed when an answer takes too long (paper, section 3.1).

Some answers outlive the alarms of Math-Verify's timeouts ((10^9)!, power towers). So every answer
has a wall-clock limit, after which the kernel kills its worker by a timer that no handler catches.
Another worker then grades the remaining answers of the batch.
"""

import contextlib
import itertools
import multiprocessing
import os
import queue
import signal
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from pebble import ProcessExpired, ProcessPool

from delta.core import processes
from delta.core.errors import InputError
from delta.grading.config import GradingParams
from delta.grading.graders import Case, Grade
from delta.grading.verdict import Verdict

MAX_BATCHES = 100  # in flight: bounds the memory, whatever the size of the data
BATCH_SIZE = 16  # answers; those of a problem share a worker's cache of comparisons
MAX_TESTS = 200  # of a program; each test has its own limit, the answer's only ends a stuck worker
NOT_BEGUN = 255  # in place of the index of a case in its batch
# With gmpy2, no timer interrupts some answers ((10^8)!, huge binomials).
WITHOUT_GMPY2 = {"SYMPY_GROUND_TYPES": "python", "MPMATH_NOGMPY": "1"}


class _Batch:
    """Cases that a worker grades, their verdicts so far, and in the end all of them in order."""

    def __init__(self, cases: list[Case], slot: int) -> None:
        self.cases = cases
        self.slot = slot  # offset in the progress file
        self.verdicts: dict[int, Verdict] = {}
        self.graded: Future[list[Verdict]] = Future()

    def remaining(self) -> list[int]:
        return [index for index in range(len(self.cases)) if index not in self.verdicts]


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
            while waiting and waiting[0].graded.done():
                yield from waiting.popleft().graded.result()
        while waiting:
            yield from waiting.popleft().graded.result()

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
            batch.graded.set_result([verdict for _, verdict in sorted(batch.verdicts.items())])
        except BaseException as error:  # noqa: BLE001 - the user's mistake, or a broken pool
            batch.graded.set_exception(error)
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
    processes.end_with_parent(signal.SIGKILL)  # else a stuck worker would outlive a killed parent
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

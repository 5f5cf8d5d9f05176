"""Grade on a Ray cluster: each actor has pools of workers and grades chunks of answers."""

import contextlib
import itertools
from collections import deque
from collections.abc import Iterable, Iterator

from delta.core.errors import IncompleteError
from delta.grading.config import GradingParams
from delta.grading.graders import Case, Grade, needs_math_verify
from delta.grading.verdict import Verdict
from delta.grading.worker_pool import Pool, open_pool
from delta.inference import ray_actors

CHUNK_SIZE = 1_000  # answers; takes a pool seconds to minutes
MAX_IN_FLIGHT = 2  # chunks of an actor: one in work and one waiting
Chunk = list[Case]


def grade_on_cluster(
    params: GradingParams, cases: Iterable[Case], grade: Grade
) -> Iterator[Verdict]:
    """Yield a verdict for every case, in order; chunks of a lost node are graded again.

    Raises IncompleteError if a chunk kills every actor that grades it.
    """
    ray_actors.check_installed("grading.backend")
    ray_actors.connect("auto")
    pool = ray_actors.RayActorPool(GradingActor, (params, grade), {"CPU": params.workers}, None)
    with contextlib.closing(pool):
        done: dict[int, list[Verdict]] = {}
        next_number = 0
        for number, verdicts in pool.map_unordered(_chunks(cases), MAX_IN_FLIGHT):
            if isinstance(verdicts, ray_actors.WorkerDied):
                raise IncompleteError(f"verdicts on {CHUNK_SIZE} answers: {verdicts.reason}")
            done[number] = verdicts
            while next_number in done:
                yield from done.pop(next_number)
                next_number += 1


def _chunks(cases: Iterable[Case]) -> Iterator[list[Chunk]]:
    """Yield chunks of answers that either all need Math-Verify or do not."""
    for _, group in itertools.groupby(cases, needs_math_verify):
        while chunk := list(itertools.islice(group, CHUNK_SIZE)):
            yield [chunk]


class GradingActor:
    """An actor (ray_actors) whose pools stay open between chunks."""

    def __init__(self, params: GradingParams, grade: Grade) -> None:
        self.params = params
        self.grade = grade
        self.waiting: deque[tuple[int, Chunk]] = deque()
        self.open_pools = contextlib.ExitStack()
        self.pools: dict[bool, Pool] = {}  # with_math_verify -> pool

    def ready(self) -> None:
        """Return at once: a pool starts with its first chunk."""

    def step(self, new: list[tuple[int, Chunk]]) -> list[tuple[int, list[Verdict]]]:
        """Take new chunks with their numbers; grade one and return its number and verdicts."""
        self.waiting += new
        if not self.waiting:
            return []
        number, chunk = self.waiting.popleft()
        with_math_verify = needs_math_verify(chunk[0])
        if with_math_verify not in self.pools:
            pool = open_pool(self.params, self.grade, with_math_verify)
            self.pools[with_math_verify] = self.open_pools.enter_context(pool)
        return [(number, list(self.pools[with_math_verify].grade(chunk)))]

"""Grading on a Ray cluster: pools of killable workers as on one machine, to which chunks go."""

import contextlib
import itertools
from collections import deque
from collections.abc import Iterable, Iterator

from delta.core.errors import IncompleteError
from delta.grading.verdict import Verdict
from delta.grading.worker_pool import Case, Grade, GradingParams, Pool, needs_math_verify, open_pool
from delta.inference import ray_actors

CHUNK = 1_000  # answers: seconds to minutes of a pool's work
WINDOW = 2  # chunks that a pool has: one more than it works on
Chunk = list[Case]


def outcomes(params: GradingParams, cases: Iterable[Case], grade: Grade) -> Iterator[Verdict]:
    """One verdict for every case, in order; what a lost node had is graded again."""
    ray_actors.check_installed("grading.where")
    ray_actors.connect("auto")
    crew = ray_actors.RayActorPool(Grader, (params, grade), {"CPU": params.workers}, None)
    with contextlib.closing(crew):
        done: dict[int, list[Verdict]] = {}
        following = 0
        for number, verdicts in crew.map_unordered(_chunks(cases), WINDOW):
            if isinstance(verdicts, ray_actors.WorkerDied):
                raise IncompleteError(f"verdicts on {CHUNK} answers: {verdicts.reason}")
            done[number] = verdicts
            while following in done:
                yield from done.pop(following)
                following += 1


def _chunks(cases: Iterable[Case]) -> Iterator[list[Chunk]]:
    """Of answers that need Math-Verify, and of others."""
    for _, run in itertools.groupby(cases, needs_math_verify):
        while chunk := list(itertools.islice(run, CHUNK)):
            yield [chunk]


class Grader:
    """A pool on some node, as an actor (ray_actors). It stays warm from chunk to chunk."""

    def __init__(self, params: GradingParams, grade: Grade) -> None:
        self.params = params
        self.grade = grade
        self.waiting: deque[tuple[int, Chunk]] = deque()
        self.pools = contextlib.ExitStack()
        self.by_formula: dict[bool, Pool] = {}

    def ready(self) -> None:
        """A pool starts with its first chunk."""

    def step(self, new: list[tuple[int, Chunk]]) -> list[tuple[int, list[Verdict]]]:
        self.waiting += new
        if not self.waiting:
            return []
        number, chunk = self.waiting.popleft()
        pool = self._pool(needs_math_verify(chunk[0]))
        return [(number, list(pool.outcomes(chunk)))]

    def _pool(self, by_formula: bool) -> Pool:
        if by_formula not in self.by_formula:
            pool = self.pools.enter_context(open_pool(self.params, self.grade, by_formula))
            self.by_formula[by_formula] = pool
        return self.by_formula[by_formula]

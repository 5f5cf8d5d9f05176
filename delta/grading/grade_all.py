"""Grade many answers in workers on this machine or on a Ray cluster (grading.backend)."""

import itertools
from collections.abc import Iterable, Iterator

from delta.grading import ray_pool
from delta.grading.verdict import Verdict
from delta.grading.worker_pool import (
    Case,
    Grade,
    GradingParams,
    grade_case,
    needs_math_verify,
    open_pool,
)


def grade_all(
    params: GradingParams, cases: Iterable[Case], grade: Grade = grade_case
) -> Iterator[Verdict]:
    """Yield a verdict for every case, in order; a crash or a timeout is "ungradable"."""
    if params.backend == "ray":
        yield from ray_pool.grade_all(params, cases, grade)
        return
    for with_math_verify, group in itertools.groupby(cases, needs_math_verify):
        with open_pool(params, grade, with_math_verify) as pool:
            yield from pool.grade(group)

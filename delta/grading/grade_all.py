"""Grade many answers, in workers on this machine or on a Ray cluster (grading.where)."""

import itertools
from collections.abc import Iterable, Iterator

from delta.grading import ray_pool
from delta.grading.verdict import Verdict
from delta.grading.worker_pool import (
    Case,
    Grade,
    GradingParams,
    graded,
    needs_math_verify,
    open_pool,
)


def outcomes(
    params: GradingParams,
    cases: Iterable[Case],
    grade: Grade = graded,
) -> Iterator[Verdict]:
    """Yield one verdict for every case, in order, whatever happens."""
    if params.where == "ray":
        yield from ray_pool.outcomes(params, cases, grade)
        return
    for by_formula, run in itertools.groupby(cases, needs_math_verify):
        with open_pool(params, grade, by_formula) as pool:
            yield from pool.outcomes(run)

"""Grade many answers in workers on this machine or a Ray cluster, and count the verdicts."""

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator

from delta.core.errors import InputError
from delta.core.schemas import OUTCOMES
from delta.core.types import Counts
from delta.grading import ray_pool
from delta.grading.config import GradingParams
from delta.grading.graders import Case, Grade, grade_case, needs_math_verify
from delta.grading.verdict import Verdict
from delta.grading.worker_pool import open_pool


def grade_all(
    params: GradingParams, cases: Iterable[Case], grade: Grade = grade_case
) -> Iterator[Verdict]:
    """Yield a verdict for every case, in order; a crash or a timeout is "ungradable"."""
    if params.backend == "ray":
        yield from ray_pool.grade_on_cluster(params, cases, grade)
        return
    for with_math_verify, group in itertools.groupby(cases, needs_math_verify):
        with open_pool(params, grade, with_math_verify) as pool:
            yield from pool.grade(group)


def count_verdicts(verdicts: list[Verdict]) -> Counts:
    """Return the numbers of verdicts by outcome and by reason."""
    by_outcome = Counter(verdict.outcome for verdict in verdicts)
    by_reason = Counter(verdict.reason for verdict in verdicts if verdict.reason)
    return {
        "graded": len(verdicts),
        **{outcome: by_outcome[outcome] for outcome in OUTCOMES},
        "reasons": dict(sorted(by_reason.items())),
    }


def check_max_ungradable(where: str, params: GradingParams, counts: Counts) -> None:
    """Raise InputError if the ungradable fraction is above grading.max_ungradable."""
    fraction = counts["ungradable"] / max(1, counts["graded"])
    if fraction > params.max_ungradable:
        raise InputError(
            f"{where}: {counts['ungradable']} of {counts['graded']} answers are ungradable "
            f"({counts['reasons']}); expected a fraction of at most grading.max_ungradable = "
            f"{params.max_ungradable}"
        )

"""A mean of independent numbers, with its interval."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy import special


def t95(freedom: float) -> float:
    """Two-sided 95 % point of Student's t."""
    return float(special.stdtrit(freedom, 0.975))


def mean_interval(values: NDArray[np.float64]) -> tuple[float | None, float | None, float | None]:
    """Mean, low and high (95 %, Student's t); None for a mean of nothing, and for the bounds where
    the numbers do not differ: an interval of no width would claim certainty."""
    if len(values) == 0:
        return None, None, None
    mean = float(values.mean())
    if np.ptp(values) == 0:
        return mean, None, None
    half = t95(len(values) - 1) * float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return mean, mean - half, mean + half

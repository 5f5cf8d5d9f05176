"""Correction for many comparisons, by hand and against statsmodels."""

import random

import pytest
from statsmodels.stats.multitest import multipletests

from delta.stats.multiple_testing import holm


def test_holm_by_hand() -> None:
    # Smallest times 3, next times 2, next times 1, never below one that came before.
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])


def test_one_comparison_needs_no_correction() -> None:
    assert holm([0.03]) == [0.03]
    assert holm([]) == []


def test_no_corrected_p_is_above_1() -> None:
    assert holm([0.6, 0.7, 1.0]) == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("seed", range(5))
def test_statsmodels_has_the_same(seed: int) -> None:
    chance = random.Random(seed)
    ps = [round(chance.random() ** 3, 2) for _ in range(30)]  # with ties
    assert holm(ps) == pytest.approx(multipletests(ps, method="holm")[1].tolist())


def test_a_p_outside_0_to_1_is_refused() -> None:
    with pytest.raises(ValueError, match="p = nan; expected 0 to 1"):
        holm([0.1, float("nan")])
    with pytest.raises(ValueError, match=r"p = 1\.5"):
        holm([1.5])

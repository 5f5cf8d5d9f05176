"""A page of trainings that are truly alike decides at most 5% of its claims."""

import numpy as np
import pytest

from bench.false_verdicts import RULES, SEED_POINTS, Rates, by_rule, false_rates

PAGES = 25  # of three domains and seven contrasts each


@pytest.fixture(scope="module")
def rates() -> dict[float, Rates]:
    return {points: false_rates(points, PAGES) for points in SEED_POINTS}


@pytest.mark.parametrize("points", SEED_POINTS)
def test_each_rule_decides_at_most_5_percent_wrongly_whatever_the_seeds(
    rates: dict[float, Rates], points: float
) -> None:
    for part in rates[points]:
        assert by_rule(part).keys() == set(RULES)
        assert max(by_rule(part).values()) <= 0.05


def test_each_claim_is_decided_wrongly_in_at_most_5_percent(rates: dict[float, Rates]) -> None:
    for part in ("holds", "refuted"):
        claims = [getattr(of_points, part) for of_points in rates.values()]
        for claim in claims[0]:
            assert np.mean([of_claim[claim] for of_claim in claims]) <= 0.05, claim


def test_without_the_noise_of_seeds_a_page_decides_what_it_cannot() -> None:
    without = false_rates(3.0, 15, pooled=False)
    assert by_rule(without.holds)["above"] > 0.1
    assert by_rule(without.refuted)["above"] > 0.1

"""Variance components of votes and deltas are estimated correctly."""

from collections import defaultdict
from typing import Any

import numpy as np
import pytest

from delta.analysis.variance_components import Components, estimate_components, variance_rows
from delta.analysis.votes import Array, Indices
from tests.helpers.example_votes import FACTS, votes_of

TRUTH = {"problem": 0.5, "generator_by_problem": 0.3, "sample": 0.8, "judge": 0.6}
GENERATORS = np.array([-0.5, 0.0, 0.2, 0.9])  # fixed; their variance, by 3, is 0.3433
SPREAD = float(np.var(GENERATORS, ddof=1))


def random_votes(
    seed: int, missing: float, num: int = 300, samples: int = 3
) -> tuple[Array, Indices]:
    random = np.random.default_rng(seed)
    size = len(GENERATORS)

    def part(name: str, *shape: int) -> Array:
        return np.asarray(random.normal(0, TRUTH[name] ** 0.5, shape))

    cells = part("problem", num, 1) + GENERATORS + part("generator_by_problem", num, size)
    traces = cells[:, :, None] + part("sample", num, size, samples)
    votes = (traces[..., None] + part("judge", num, size, samples, 4)).reshape(-1, 4)
    cell = np.repeat(np.arange(num * size), samples)
    votes[random.random(votes.shape) < missing] = np.nan
    kept = random.random(len(votes)) >= missing  # traces that nobody rated, and whole cells
    return votes[kept], cell[kept]


@pytest.mark.parametrize("missing", [0.0, 0.4])
def test_estimates_are_unbiased_also_for_unbalanced_tables(missing: float) -> None:
    result = np.array(
        [
            estimate_components(*random_votes(seed, missing), 1200, len(GENERATORS))
            for seed in range(40)
        ]
    )
    error = result.std(axis=0, ddof=1) / 40**0.5
    truth = [SPREAD, *TRUTH.values()]
    assert np.all(np.abs(result.mean(axis=0) - truth) < 3 * error)
    assert np.all(error < 0.03)


def test_balanced_tables_give_the_estimates_of_the_analysis_of_variance() -> None:
    votes, cell = random_votes(0, missing=0.0, num=50)
    table = votes.reshape(50, 4, 3, 4)
    grand, cells = table.mean(), table.mean(axis=(2, 3))
    problem, generator = cells.mean(axis=1, keepdims=True), cells.mean(axis=0, keepdims=True)
    traces = table.mean(axis=3)
    votes_square = ((table - traces[..., None]) ** 2).sum() / (600 * 3)
    samples_square = 4 * ((traces - cells[..., None]) ** 2).sum() / (200 * 2)
    both_square = 12 * ((cells - problem - generator + grand) ** 2).sum() / (49 * 3)
    problem_square = 48 * ((problem - grand) ** 2).sum() / 49
    generator_square = 600 * ((generator - grand) ** 2).sum() / 3
    assert estimate_components(votes, cell, 200, 4) == pytest.approx(
        Components(
            (generator_square - both_square) / 600,
            (problem_square - both_square) / 48,
            (both_square - samples_square) / 12,
            (samples_square - votes_square) / 4,
            votes_square,
        )
    )


def by_source(votes: dict[str, list[int]]) -> dict[str, dict[str, dict[str, Any]]]:
    result: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    for row in variance_rows(votes_of(votes)):
        if row["dimension"] == FACTS:
            result[row["quantity"]][row["source"]] = row
    return result


TWO = {"p/g/0": [5, 3], "p/h/0": [1, 1], "q/g/0": [2, 2], "q/h/0": [1, 3]}


def test_the_shares_by_hand() -> None:
    # Noise of a vote 4/4 = 1. Cells g 4, 2 and h 1, 2: differences 3 and 0, variance 4.5.
    # Interaction (4.5 - 2 · 1/2) / 2; generators (1.5² - 4.5 / 2) / 2 = 0; problems: covariance.
    result = by_source(TWO)
    of_vote = {name: row["variance"] for name, row in result["vote"].items()}
    assert of_vote == {
        "generator": 0.0,
        "problem": -1.0,
        "generator_by_problem": 1.75,
        "sample": None,
        "judge": 1.0,
    }
    # Of the delta twice these, and half the judge's noise, for two votes are averaged.
    of_delta = {name: row["variance"] for name, row in result["delta"].items()}
    assert of_delta == {
        "generator": 0.0,
        "problem": 0.0,
        "generator_by_problem": 3.5,
        "sample": None,
        "judge": 1.0,
    }
    assert result["delta"]["judge"]["fraction_of_variance"] == 0.2222


def test_a_negative_estimate_is_kept_counts_as_0_and_is_marked() -> None:
    problem = by_source(TWO)["vote"]["problem"]
    assert (problem["variance"], problem["fraction_of_variance"]) == (-1.0, 0.0)
    assert problem["clipped"] is True
    assert by_source(TWO)["vote"]["judge"]["clipped"] is False


@pytest.mark.parametrize("quantity", ["vote", "delta", "delta_of_one_recipe"])
def test_fractions_of_variance_add_up_to_one(quantity: str) -> None:
    rows = by_source(TWO)[quantity].values()
    assert sum(row["fraction_of_variance"] or 0 for row in rows) == pytest.approx(1, abs=1e-3)


def test_a_source_that_cancels_in_a_delta_has_no_share_and_a_reason() -> None:
    result = by_source(TWO)
    assert result["delta"]["problem"]["why"] == "cancels: both traces are of one problem"
    assert result["delta"]["problem"]["fraction_of_variance"] == 0.0
    assert result["delta_of_one_recipe"]["generator"]["why"] == "the same in every pair"


def test_sources_that_the_design_cannot_separate_are_null_with_a_reason() -> None:
    single = by_source({name: cast[:1] for name, cast in TWO.items()})["vote"]
    assert (single["judge"]["variance"], single["judge"]["fraction_of_variance"]) == (None, None)
    assert single["judge"]["why"] == single["sample"]["why"] == "is in generator_by_problem"
    sources = by_source({"p/g/0": [5, 3], "q/g/0": [1, 1]})["vote"]
    assert sources["problem"]["why"] == "needs two generators with problems in common"
    assert (sources["judge"]["variance"], sources["judge"]["fraction_of_variance"]) == (1.0, None)

"""Votes as arrays, their agreement, the reliability of deltas, votes against correctness."""

import math

import krippendorff
import numpy as np
import polars as pl
import pytest

from delta.analysis import correctness_auc, generator_deltas, inter_rater, reliability
from delta.analysis.votes import Array, gather_votes, mean_votes
from delta.core.errors import InputError
from delta.core.schemas import TRACE, VERDICT
from delta.core.tables import frame_of
from delta.judging.rubric import DIMENSIONS, MEAN
from delta.stats.intervals import mean_interval, t95
from delta.stats.rank_correlation import auc
from tests.helpers.example_votes import FACTS, rating, votes_of

NAN = math.nan
STEPS = "step_coherence"


def pairs(*ids: tuple[str, str]) -> pl.DataFrame:
    return pl.DataFrame(ids, schema=["chosen_id", "rejected_id"], orient="row")


# --- votes ---


def test_a_refused_vote_is_a_gap_and_not_a_number() -> None:
    votes = votes_of({"p/b/0": [4], "p/a/0": [5, 3], "p/c/0": []})
    assert votes.traces["trace_id"].to_list() == ["p/a/0", "p/b/0", "p/c/0"]
    np.testing.assert_array_equal(votes.matrices[FACTS], [[5, 3], [4, NAN], [NAN, NAN]])
    np.testing.assert_array_equal(mean_votes(votes.matrices[FACTS]), [4, 4, NAN])


def test_the_mean_of_dimensions_is_taken_vote_by_vote_where_all_have_as_many() -> None:
    traces = frame_of(
        [{"trace_id": trace_id, "problem_id": "p", "generator": "g"} for trace_id in ("a", "b")],
        TRACE,
    )
    ratings = pl.concat(
        [
            rating("a", [5, 1]),
            rating("a", [3, 2], STEPS),
            rating("b", [5, 5]),
            rating("b", [1], STEPS),
        ]
    )
    votes = gather_votes(traces, frame_of([], VERDICT), ratings)
    assert list(votes.matrices) == [FACTS, STEPS, MEAN]
    np.testing.assert_array_equal(votes.matrices[MEAN], [[4, 1.5], [NAN, NAN]])


def test_ratings_by_two_judges_or_of_unknown_traces_are_errors() -> None:
    traces = frame_of([{"trace_id": "a", "problem_id": "p", "generator": "g"}], TRACE)
    none = frame_of([], VERDICT)
    with pytest.raises(InputError, match="judges x, y; expected one judge"):
        gather_votes(traces, none, pl.concat([rating("a", [5]), rating("a", [5], judge="y")]))
    with pytest.raises(InputError, match="1 rated traces are missing"):
        gather_votes(traces, none, rating("b", [5]))


# --- agreement among votes ---

# Shrout and Fleiss (1979), table 2: six targets, four judges. Their table 4: .17 and .44.
SHROUT = np.array(
    [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], float
)


def test_the_intraclass_correlation_is_that_of_shrout_and_fleiss() -> None:
    single, mean, votes_in_mean = inter_rater.icc(SHROUT)
    assert single == pytest.approx(0.1657, abs=1e-4)
    assert mean == pytest.approx(0.4428, abs=1e-4)
    assert votes_in_mean == 4


def test_the_intraclass_correlation_with_unequal_numbers_of_votes_by_hand() -> None:
    # Means 4, 2, 1; mean square between 4.8 (grand mean 13/5), within 2/2; k = (5 - 9/5)/2.
    single, mean, votes_in_mean = inter_rater.icc(np.array([[5, 3], [2, 2], [1, NAN]]))
    between = (2 * (4 - 2.6) ** 2 + 2 * (2 - 2.6) ** 2 + (1 - 2.6) ** 2) / 2
    assert votes_in_mean == pytest.approx(1.6)
    assert single == pytest.approx((between - 1) / (between + 0.6))
    assert mean == pytest.approx((between - 1) / between)


@pytest.mark.parametrize("level", ["ordinal", "interval"])
@pytest.mark.parametrize("seed", range(5))
def test_alpha_is_that_of_the_krippendorff_package(level: inter_rater.Level, seed: int) -> None:
    random = np.random.default_rng(seed)
    votes = np.clip(np.rint(random.normal(3, 1, (40, 1)) + random.normal(0, 1, (40, 5))), 1, 5)
    votes[random.random(votes.shape) < 0.3] = NAN
    expected = krippendorff.alpha(votes.T, level_of_measurement=level)
    assert inter_rater.krippendorff_alpha(votes, level) == pytest.approx(expected, abs=1e-12)


def test_alpha_is_one_where_votes_agree_and_negative_where_they_oppose() -> None:
    assert inter_rater.krippendorff_alpha(np.array([[1, 1], [5, 5]], float), "ordinal") == 1
    # Observed 16; expected 2·2·2·16 / (4·3): 1 − 16 / (32/3).
    assert inter_rater.krippendorff_alpha(
        np.array([[1, 5], [5, 1]], float), "interval"
    ) == pytest.approx(-0.5)


def test_single_or_equal_votes_give_no_agreement_rather_than_a_perfect_one() -> None:
    nothing = {"alpha_ordinal": None, "alpha_interval": None, "icc_one_vote": None}
    single = inter_rater.coefficients(np.array([[1], [5], [3]], float))
    assert single.items() >= (nothing | {"icc_mean_of_votes": None, "votes": 3}).items()
    equal = inter_rater.coefficients(np.array([[4, 4], [4, 4]], float))
    assert equal.items() >= (nothing | {"icc_mean_of_votes": None, "votes": 4}).items()
    assert inter_rater.coefficients(np.empty((0, 0)))["traces"] == 0


# --- reliability ---


def test_the_reliability_of_a_delta_by_hand() -> None:
    votes = votes_of({"p/g/0": [5, 3], "p/h/0": [1, 1], "q/g/0": [2, 2], "q/h/0": [1, 3]})
    rows = reliability.reliability_rows(votes, pairs(("p/g/0", "p/h/0"), ("q/g/0", "q/h/0")))
    # Deltas 3 and 0: variance 4.5. Noise of a vote 2/2 on either side, of a mean of two 0.5.
    # 3.5 / (3.5 + 2) and 3.5 / (3.5 + 1). Deltas by single votes: 4 and 1, then 2 and -1.
    assert [row for row in rows if row["dimension"] == FACTS] == [
        {
            "dimension": FACTS,
            "votes": 1,
            "predicted": 0.6364,
            "observed": 1.0,
            "pairs_observed": 2,
            "pairs": 2,
            "why": None,
        },
        {
            "dimension": FACTS,
            "votes": 2,
            "predicted": 0.7778,
            "observed": None,
            "pairs_observed": 0,
            "pairs": 2,
            "why": None,
        },
    ]


def random_pairs(num: int, spread: float, noise: float) -> tuple[Array, Array]:
    random = np.random.default_rng(3)
    sides = random.normal(0, spread, (2, num, 1)) + random.normal(0, noise, (2, num, 5))
    sides[random.random(sides.shape) < 0.1] = NAN
    sides = np.take_along_axis(sides, np.isnan(sides).argsort(axis=2, kind="stable"), axis=2)
    return sides[0], sides[1]


def test_split_halves_agree_with_the_predicted_reliability() -> None:
    chosen, rejected = random_pairs(4000, spread=1.0, noise=1.5)
    signal, noise = reliability.delta_variance(chosen, rejected)
    for m, truth in ((1, 1 / (1 + 2.25)), (2, 1 / (1 + 2.25 / 2))):
        assert reliability.predicted_reliability(signal, noise, m) == pytest.approx(truth, abs=0.03)
        assert reliability.split_half_correlation(chosen, rejected, m)[0] == pytest.approx(
            truth, abs=0.03
        )


def test_the_prediction_follows_spearman_and_brown() -> None:
    chosen, rejected = random_pairs(200, spread=1.0, noise=1.0)
    parts = reliability.delta_variance(chosen, rejected)
    one_vote, five_votes = (
        reliability.predicted_reliability(*parts, 1),
        reliability.predicted_reliability(*parts, 5),
    )
    assert one_vote is not None
    assert five_votes == pytest.approx(5 * one_vote / (1 + 4 * one_vote))


def test_one_vote_gives_no_reliability_and_unrated_pairs_are_left_out() -> None:
    votes = votes_of({"p/g/0": [5], "p/h/0": [1], "q/g/0": [2]})
    result = pairs(("p/g/0", "p/h/0"), ("q/g/0", "q/h/0"))
    row = reliability.reliability_rows(votes, result)[0]
    assert (row["predicted"], row["observed"], row["pairs"]) == (None, None, 1)
    assert row["why"] == "every trace has one vote"


# --- votes against correctness ---

VOTES = {"p/g/0": [5], "p/g/1": [1], "p/g/2": [3], "q/g/0": [4], "q/g/1": [5], "r/g/0": [2]}
OUTCOMES = {
    "p/g/0": "correct",
    "p/g/1": "incorrect",
    "p/g/2": "incorrect",
    "q/g/0": "correct",
    "q/g/1": "incorrect",
    "r/g/0": "correct",
}


def test_auc_pooled_and_within_problems_by_hand() -> None:
    pooled, within = correctness_auc.auc_rows(votes_of(VOTES, OUTCOMES))[:2]
    # 5 beats 1 and 3 and ties with 5: 2.5; 4 beats 1 and 3: 2; 2 beats 1: 1. Of nine.
    assert pooled["auc"] == pytest.approx(5.5 / 9, abs=1e-4)
    assert (pooled["kind"], pooled["correct"], pooled["incorrect"]) == ("pooled", 3, 3)
    # Problem p: 1; q: 0; r has no incorrect trace.
    assert (within["kind"], within["auc"], within["problems"]) == ("within_problem", 0.5, 2)
    assert (within["low"], within["high"]) == (0.0, 1.0)


def test_a_tie_within_a_problem_counts_half() -> None:
    each = correctness_auc.aucs_by_problem(
        np.array([3.0, 3, 1]), np.array([True, False, False]), ["p"] * 3
    )
    assert each.tolist() == [0.75]


def test_ungraded_and_unrated_traces_are_left_out_and_counted() -> None:
    votes = VOTES | {"s/g/0": [5], "s/g/1": [], "s/g/2": [5]}
    row = correctness_auc.auc_rows(
        votes_of(votes, OUTCOMES | {"s/g/0": "ungradable", "s/g/1": "correct"})
    )[0]
    assert row["auc"] == pytest.approx(5.5 / 9, abs=1e-4)
    assert (row["not_graded"], row["unrated"]) == (2, 1)
    assert row["correct"] + row["incorrect"] + row["not_graded"] + row["unrated"] == len(votes)


def test_without_incorrect_traces_there_is_no_auc() -> None:
    pooled, within = correctness_auc.auc_rows(votes_of({"p/g/0": [5]}, {"p/g/0": "correct"}))[:2]
    assert (pooled["auc"], within["auc"], within["problems"]) == (None, None, 0)


def test_the_auc_within_problems_ignores_their_difficulty() -> None:
    random = np.random.default_rng(0)
    easy = np.repeat(random.normal(0, 1, 800), 6)
    correct = random.random(4800) < 1 / (1 + np.exp(-2 * easy))
    problem = [str(place // 6) for place in range(4800)]
    score = easy + random.normal(0, 0.3, 4800)
    assert (auc(score, correct, problem)[1] or 0) > 0.75
    mean, low, high = mean_interval(correctness_auc.aucs_by_problem(score, correct, problem))
    assert mean == pytest.approx(0.5, abs=0.03)
    assert (low or 1) < 0.5 < (high or 0)


# --- the delta of every two generators ---


def test_the_delta_matrix_by_hand() -> None:
    votes = votes_of(
        {
            "p/g/0": [5, 5],
            "p/g/1": [3],  # a trace weighs as much as another, not a vote: 4
            "p/h/0": [1],
            "q/g/0": [2],
            "q/h/0": [1],
            "r/g/0": [5],
            "r/h/0": [],
        }
    )
    rows = [
        row
        for row in generator_deltas.delta_matrix_rows(votes, num_problems=4)
        if row["dimension"] == FACTS
    ]
    # Deltas 3 and 1: mean 2, error of the mean 1, Student's t with one degree of freedom 12.7062.
    counted = {"problems": 2, "without_both": 2}
    assert rows == [
        {"dimension": FACTS, "chosen": "g", "rejected": "h"}
        | {"delta": 2.0, "low": -10.7062, "high": 14.7062}
        | counted,
        {"dimension": FACTS, "chosen": "h", "rejected": "g"}
        | {"delta": -2.0, "low": -14.7062, "high": 10.7062}
        | counted,
    ]


def test_generators_without_a_problem_in_common_have_no_delta() -> None:
    row = generator_deltas.delta_matrix_rows(votes_of({"p/g/0": [5], "q/h/0": [1]}), 2)[0]
    assert (row["delta"], row["low"], row["problems"], row["without_both"]) == (None, None, 0, 2)


def test_the_order_of_rows_changes_nothing() -> None:
    some = {"p/g/0": [5, 4], "p/h/0": [1, 2], "q/g/0": [2, 5], "q/h/0": [1, 1]}
    turned = dict(reversed(some.items()))
    assert generator_deltas.delta_matrix_rows(
        votes_of(some), 2
    ) == generator_deltas.delta_matrix_rows(votes_of(turned), 2)


def test_the_interval_of_a_mean_is_students() -> None:
    assert t95(2) == pytest.approx(4.3027, abs=1e-4)
    mean, low, high = mean_interval(np.array([1.0, 2.0, 3.0]))
    assert mean == 2.0
    assert low == pytest.approx(-0.4841, abs=1e-4)  # 2 - 4.3027 / sqrt(3)
    assert high == pytest.approx(4.4841, abs=1e-4)


def test_equal_numbers_have_a_mean_and_no_interval() -> None:
    assert mean_interval(np.array([2.0, 2.0])) == (2.0, None, None)
    assert mean_interval(np.array([])) == (None, None, None)


def test_every_dimension_of_the_rubric_keeps_its_place() -> None:
    traces = frame_of([{"trace_id": "a", "problem_id": "p", "generator": "g"}], TRACE)
    ratings = pl.concat(rating("a", [3], name) for name in reversed(DIMENSIONS))
    assert list(gather_votes(traces, frame_of([], VERDICT), ratings).matrices) == [
        *DIMENSIONS,
        MEAN,
    ]

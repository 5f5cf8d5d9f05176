"""What the page says of a training, from counts that a person chose."""

from typing import Any

import pytest

from delta.report.training_facts import (
    TrainingSettings,
    facts,
    is_rounded_away,
    margin_by_delta,
    sentences,
    served_share,
    training_settings,
)

RULE = TrainingSettings("dpo", has_stopping_rule=True, dtype="float32")
NO_RULE = RULE._replace(has_stopping_rule=False)
COUNTS: dict[str, Any] = {
    "steps": 250,
    "max_steps": 250,
    "converged_at": None,
    "first_margin": {"mean": -0.0004, "sd": 0.25, "rows": 64},
    "update_served": {"float32": 1.0, "bfloat16": 0.0042, "float16": None},
}


@pytest.mark.parametrize(
    ("counts", "settings", "sentence", "short"),
    [
        (
            {"converged_at": 120},
            RULE,
            "The loss on held-out pairs converged at step 120 of at most 250.",
            "converged at 120",
        ),
        (
            {},
            RULE,
            "It was stopped at its cap of 250 steps, before its loss converged.",
            "cap of 250",
        ),
        ({}, NO_RULE, "It made all of its 250 steps; no rule stops it before.", "all 250 steps"),
        (
            {"max_steps": None},
            RULE,
            "How the training ended is not recorded.",
            "not recorded",
        ),
        (
            {"max_steps": None, "converged_at": 30},
            RULE,
            "The loss on held-out pairs converged at step 30 of a cap that is not recorded.",
            "converged at 30",
        ),
    ],
)
def test_a_training_converged_or_reached_its_cap(
    counts: dict[str, Any], settings: TrainingSettings, sentence: str, short: str
) -> None:
    assert sentences(COUNTS | counts, settings)[0] == sentence
    assert facts(COUNTS | counts, settings).end == short


def test_the_first_margin_and_the_served_share_are_said() -> None:
    _, margin, served, _ = sentences(COUNTS, RULE)
    assert margin.startswith(
        "Before the first update the margin was +0.000 (SD 0.250) nats over 64"
    )
    assert served == "Served in float32, the policy has 100.0% of the update."
    assert facts(COUNTS, RULE)[1:3] == ("+0.000 (SD 0.250)", "100.0%")


MEASURED: dict[str, Any] = {
    "pairs": 10,
    "tokens": 520,
    "chosen": {"base": -20.04, "policy": -18.54, "change": 1.5},
    "rejected": {"base": -30.0, "policy": -33.0, "change": -3.0},
    "kl_per_token": 0.0123,
    "margin": 4.5,
    "margins": [0.1 * number for number in range(10)],
    "deltas": [float(number // 2) for number in range(10)],
}


def test_how_far_the_policy_is_from_the_base_is_said() -> None:
    counts = COUNTS | {"policy_against_base": MEASURED}
    assert facts(counts, RULE)[3:5] == ("+1.50, -3.00", "0.0123")
    assert sentences(counts, RULE)[3:5] == [
        "Over 10 pairs of the training, the mean log-probability of a chosen trace went from -20.0 "
        "to -18.5 nats, that of a rejected trace from -30.0 to -33.0.",
        "At the tokens of those chosen traces, KL(policy || base) is 0.0123 nats a token (the mean "
        "of 520, each exact over the vocabulary).",
    ]


def test_margins_follow_deltas_by_their_ranks() -> None:
    # The margins have ranks 1 to 10, the deltas 1.5, 1.5, 3.5, 3.5, ...: their squared deviations
    # sum to 82.5 and 80, their products to 80. So the correlation is 80 / sqrt(82.5 * 80).
    counts = COUNTS | {"policy_against_base": MEASURED}
    correlation = margin_by_delta(counts)
    assert correlation is not None
    assert correlation.value == pytest.approx((80 / 82.5) ** 0.5)
    assert facts(counts, RULE).margin_by_delta.startswith("+0.98 [")
    assert sentences(counts, RULE)[5].startswith("The rank correlation of the pairs' margins with")


@pytest.mark.parametrize(
    "changes",
    [
        {"deltas": [1.0] * 10},  # all pairs have one delta
        {"deltas": [None] + [1.0] * 9},  # a pair without a delta
        {"deltas": [1.0, 2.0], "margins": [0.1, 0.2]},  # too few
    ],
)
def test_without_different_deltas_of_enough_pairs_nothing_follows(changes: dict[str, Any]) -> None:
    counts = COUNTS | {"policy_against_base": MEASURED | changes}
    assert facts(counts, RULE).margin_by_delta == "not known"
    assert "is not known" in sentences(counts, RULE)[5]


def test_a_policy_that_could_not_be_measured_is_not_recorded() -> None:
    counts = COUNTS | {"policy_against_base": None}
    assert facts(counts, RULE)[3:6] == ("not recorded",) * 3
    assert sentences(counts, RULE)[3] == "How far the policy is from the base is not recorded."


def test_a_first_margin_of_one_side_is_not_known() -> None:
    """KTO's first batch may hold chosen traces only."""
    counts = COUNTS | {"first_margin": {"mean": None, "sd": None, "rows": 2}}
    assert "margin before the first update is not known" in sentences(counts, RULE)[1]
    assert facts(counts, RULE).first_margin == "not known"


@pytest.mark.parametrize(
    ("dtype", "share", "rounded"),
    [
        ("float32", 1.0, False),
        ("bfloat16", 0.0042, True),
        ("float16", None, False),
        (None,) * 2 + (False,),
    ],
)
def test_the_share_is_that_of_the_dtype_that_serves(
    dtype: str | None, share: float | None, rounded: bool
) -> None:
    assert served_share(COUNTS, dtype) == share
    assert is_rounded_away(share) is rounded


@pytest.mark.parametrize(("share", "rounded"), [(0.8999, True), (0.9, False)])
def test_the_warning_starts_below_nine_tenths(share: float, rounded: bool) -> None:
    assert facts(COUNTS | {"update_served": {"float32": share}}, RULE).is_rounded_away is rounded


def test_what_older_results_lack_is_not_recorded_rather_than_zero() -> None:
    assert facts({"steps": 16}, RULE) == ("not recorded",) * 6 + (False,)
    assert sentences({"steps": 16}, RULE) == [
        "How the training ended is not recorded.",
        "The margin before the first update is not recorded.",
        "Which share of the update is served is not recorded.",
        "How far the policy is from the base is not recorded.",
    ]
    assert len(sentences({"steps": 16}, RULE._replace(method="sft"))) == 3  # SFT has no margin


def test_sft_is_stopped_by_no_rule_and_a_server_has_its_own_dtype() -> None:
    rule = {"patience": 3}
    params: dict[str, Any] = {
        "train": {"method": "sft", "early_stopping": rule},
        "serving": {"policy": {"dtype": "float32"}},
    }
    assert training_settings(params) == ("sft", False, "float32")
    params["train"]["method"] = "kto"
    assert training_settings(params) == ("kto", True, "float32")
    params["serving"]["policy"]["server"] = {"accepts": []}
    assert training_settings(params).dtype is None
    served = sentences(COUNTS, training_settings(params))[2]
    assert served == "A server has the policy, so which share of the update is served is not known."

"""Describe a training by its counts: how it ended, its first margin, what of it is served.

Beside these, how far it moved the policy from the base: the log-probabilities of the traces, the
divergence, and how the margins of the pairs follow their deltas. Results of earlier versions lack
these counts: "not recorded".
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from delta.core.types import Counts
from delta.experiments.results import POLICY_AGAINST_BASE
from delta.stats.intervals import OptionalInterval
from delta.stats.rank_correlation import MIN_INTERVAL, spearman

NOT_RECORDED = "not recorded"
STOPPED_EARLY = ("dpo", "kto")  # methods to which train.early_stopping applies
# Ours: a fraction of the update. Below it the served policy is not the one that was trained.
MIN_SERVED = 0.9


class TrainingSettings(NamedTuple):
    """The parameters of a run that say how to read its counts."""

    method: str  # dpo, kto or sft
    has_stopping_rule: bool
    dtype: str | None  # in which the policy is served; None: a server decides


class TrainingFacts(NamedTuple):
    """The short texts of a table, and whether the served share carries a warning."""

    end: str
    first_margin: str
    served: str
    logps: str  # change of chosen, of rejected
    kl: str
    margin_by_delta: str
    is_rounded_away: bool


def training_settings(params: Mapping[str, Any]) -> TrainingSettings:
    """Return the settings of all of params.yaml, with the changes of a run."""
    train, policy = params["train"], params["serving"]["policy"]
    has_rule = train["method"] in STOPPED_EARLY and train["early_stopping"] is not None
    dtype = None if policy.get("server") is not None else policy["dtype"]
    return TrainingSettings(train["method"], has_rule, dtype)


def is_recorded(counts: Counts) -> bool:
    """Return whether a training has at least one of these counts."""
    recorded = ("max_steps", "first_margin", "update_served", POLICY_AGAINST_BASE)
    return any(key in counts for key in recorded)


def served_share(counts: Counts, dtype: str | None) -> float | None:
    """Return the share of the update that the policy has as it is served; None: not recorded."""
    shares = counts.get("update_served") or {}
    share = None if dtype is None else shares.get(dtype)
    return None if share is None else float(share)


def is_rounded_away(share: float | None) -> bool:
    """Return whether serving rounds too much of the update away."""
    return share is not None and share < MIN_SERVED


def facts(counts: Counts, settings: TrainingSettings) -> TrainingFacts:
    """Return the texts for a table of runs."""
    share, margin = served_share(counts, settings.dtype), counts.get("first_margin")
    return TrainingFacts(
        _short_end(counts, settings),
        NOT_RECORDED if not margin else _margin(margin),
        NOT_RECORDED if share is None else f"{share:.1%}",
        *_against_base(counts),
        is_rounded_away(share),
    )


def margin_by_delta(counts: Counts) -> OptionalInterval | None:
    """Return the rank correlation of the measured pairs' margins with their selected deltas.

    None where it is not recorded, where a pair has no delta, or of fewer than MIN_INTERVAL pairs.
    Its value is None where all deltas are equal.
    """
    measured = counts.get(POLICY_AGAINST_BASE) or {}
    deltas, margins = measured.get("deltas", []), measured.get("margins", [])
    if len(deltas) < MIN_INTERVAL or None in deltas:
        return None
    return spearman(deltas, margins)


def _against_base(counts: Counts) -> tuple[str, str, str]:
    """Return the changes of the log-probabilities, the divergence and the correlation as texts."""
    measured = counts.get(POLICY_AGAINST_BASE)
    if measured is None:
        return NOT_RECORDED, NOT_RECORDED, NOT_RECORDED
    chosen, rejected = (f"{measured[side]['change']:+.2f}" for side in ("chosen", "rejected"))
    correlation = margin_by_delta(counts)
    return (
        f"{chosen}, {rejected}",
        f"{measured['kl_per_token']:.3g}",
        "not known" if correlation is None else _interval(correlation),
    )


def _interval(correlation: OptionalInterval) -> str:
    value, low, high = correlation
    if value is None:
        return "not known"
    interval = "" if low is None or high is None else f" [{low:+.2f}, {high:+.2f}]"
    return f"{value:+.2f}{interval}"


def _short_end(counts: Counts, settings: TrainingSettings) -> str:
    converged, cap = counts.get("converged_at"), counts.get("max_steps")
    if settings.has_stopping_rule and converged is not None:
        return f"converged at {converged:,}"
    if cap is None:
        return NOT_RECORDED
    return f"cap of {cap:,}" if settings.has_stopping_rule else f"all {cap:,} steps"


def _margin(margin: Mapping[str, Any]) -> str:
    if margin["mean"] is None:  # KTO's first batch may have rows of one side only
        return "not known"
    spread = "" if margin.get("sd") is None else f" (SD {margin['sd']:.3f})"
    return f"{round(margin['mean'], 3) + 0.0:+.3f}{spread}"


def sentences(counts: Counts, settings: TrainingSettings) -> list[str]:
    """Return a plain sentence for each fact of one training."""
    lines = [_end(counts, settings)]
    margin = counts.get("first_margin")
    if margin and margin["mean"] is None:
        lines.append(
            "The first batch has traces of one side only, so the margin before the first update is "
            "not known."
        )
    elif margin:
        lines.append(
            f"Before the first update the margin was {_margin(margin)} nats over "
            f"{margin['rows']:,} row{'' if margin['rows'] == 1 else 's'}; it is 0 where the "
            "reference's log-probabilities are computed exactly as the training's."
        )
    elif settings.method in STOPPED_EARLY:
        lines.append("The margin before the first update is not recorded.")
    share = served_share(counts, settings.dtype)
    if settings.dtype is None:
        lines.append(
            "A server has the policy, so which share of the update is served is not known."
        )
    elif share is None:
        lines.append("Which share of the update is served is not recorded.")
    else:
        lines.append(f"Served in {settings.dtype}, the policy has {share:.1%} of the update.")
    return [*lines, *_against_base_sentences(counts)]


def _against_base_sentences(counts: Counts) -> list[str]:
    measured = counts.get(POLICY_AGAINST_BASE)
    if measured is None:
        return ["How far the policy is from the base is not recorded."]
    chosen, rejected = measured["chosen"], measured["rejected"]
    pairs = f"{measured['pairs']:,} pair{'' if measured['pairs'] == 1 else 's'}"
    lines = [
        f"Over {pairs} of the training, the mean log-probability of a chosen trace went from "
        f"{chosen['base']:.1f} to {chosen['policy']:.1f} nats, that of a rejected trace from "
        f"{rejected['base']:.1f} to {rejected['policy']:.1f}.",
        "At the tokens of those chosen traces, KL(policy || base) is "
        f"{measured['kl_per_token']:.3g} nats a token (the mean of {measured['tokens']:,}, each "
        "exact over the vocabulary).",
    ]
    correlation = margin_by_delta(counts)
    if correlation is None or correlation[0] is None:
        return [*lines, "How the margins of the pairs follow their deltas is not known."]
    text = _interval(correlation)
    return [*lines, f"The rank correlation of the pairs' margins with their deltas is {text}."]


def _end(counts: Counts, settings: TrainingSettings) -> str:
    converged, cap = counts.get("converged_at"), counts.get("max_steps")
    limit = "a cap that is not recorded" if cap is None else f"at most {cap:,}"
    if settings.has_stopping_rule and converged is not None:
        return f"The loss on held-out pairs converged at step {converged:,} of {limit}."
    if cap is None:
        return "How the training ended is not recorded."
    if settings.has_stopping_rule:
        return f"It was stopped at its cap of {cap:,} steps, before its loss converged."
    return f"It made all of its {cap:,} steps; no rule stops it before."

"""Translate names of columns, groups, reasons and stages into the words of the page."""

from typing import Any

LABELS = {
    # Tables and figures of the paper, and controls
    "domain": "benchmarks",
    "by": "ranked by",
    "k": "pairs kept",
    "chosen": "chosen traces from",
    "method": "method",
    "pairs": "pairs",
    "base": "base",
    "mean_delta": "mean delta of its pairs, all dimensions",
    "without_delta": "its pairs without a delta",
    "mean_delta_selected": "mean delta of the selected pairs",
    "chosen_rating": "mean rating of its chosen traces",
    "rejected_rating": "mean rating of its rejected traces",
    "gap": "gap between the generators",
    "delta": "deltas",
    "quintile": "fifth of the deltas, 1 the smallest",
    "mode": "selected pairs",
    "control": "control",
    "seeds": "seeds",
    "dimension": "dimension",
    "other": "and dimension",
    "overlap_own_ties": "with ties broken for each dimension (%)",
    "chance": "by chance (%)",
    "chance_low": "by chance, 95% range from (%)",
    "chance_high": "by chance, 95% range to (%)",
    # Analysis of the judge
    "raters": "raters",
    "traces": "traces",
    "traces_with_two_votes": "traces with two votes or more",
    "votes": "votes",
    "alpha_ordinal": "Krippendorff's alpha, ordinal",
    "alpha_interval": "Krippendorff's alpha, interval",
    "icc_one_vote": "intraclass correlation of one vote",
    "icc_mean_of_votes": "intraclass correlation of the mean vote",
    "votes_in_mean": "votes in a mean",
    "first": "judge",
    "second": "other judge",
    "exact": "equal votes (fraction)",
    "within_one": "votes at most 1 apart (fraction)",
    "mean_difference": "mean distance of the mean votes",
    "unrated": "not rated",
    "kind": "compared",
    "auc": "area under the ROC curve",
    "low": "95% interval from",
    "high": "95% interval to",
    "problems": "problems",
    "correct": "correct traces",
    "incorrect": "incorrect traces",
    "not_graded": "not graded",
    "predicted": "reliability by variance components",
    "observed": "correlation of two halves of the votes",
    "pairs_observed": "pairs with enough votes for two halves",
    "quantity": "quantity",
    "source": "source",
    "variance": "variance",
    "fraction_of_variance": "fraction of the variance",
    "clipped": "negative, counted as 0",
    "why": "why there is no value",
    "pearson": "Pearson's correlation",
    "spearman": "Spearman's rank correlation",
    "spearman_low": "its 95% interval from",
    "spearman_high": "its 95% interval to",
    "delta_at_cut": "delta at the cut",
    "tied": "pairs with that delta",
    "tied_and_in": "of them in the set",
    "stability": "selected again from resampled votes (%)",
    "stability_low": "its 95% range from",
    "stability_high": "its 95% range to",
}
VALUES = {
    # Groups of benchmarks
    "easy": "easy math",
    "hard": "hard math",
    "stem": "STEM",
    # Training methods
    "dpo": "DPO",
    "kto": "KTO",
    "sft": "SFT",
    # Modes of the selector
    "top": "the largest deltas",
    "bottom": "the smallest deltas",
    "length_matched": "matched in length",
    # Why an answer is not correct, and how it ended
    "no_box": "no box around the answer, which is the asked form",
    "empty_box": "an empty box",
    "cut": "cut at the token limit",
    "different": "another answer than the reference",
    "stop": "finished",
    "length": "cut at the token limit",
    # Tables of the analysis
    "pooled": "all traces",
    "within_problem": "traces of the same problem",
    "delta_of_one_recipe": "delta of two given generators",
    "generator_by_problem": "generator and problem together",
}


def label(name: str) -> str:
    """Return the words for a column; a column of the reader's own, such as an axis, as it is."""
    return LABELS.get(name, name.replace("_", " "))


def words(value: Any) -> Any:
    """Return the words for a value that is a name, and any other value as it is."""
    return VALUES.get(value, value.replace("_", " ")) if isinstance(value, str) else value

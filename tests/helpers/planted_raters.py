"""Raters whose sight is known, tried on pairs with one fault: scores for delta.certificate."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from delta.certificate.verdicts import Floats, Scores

DIMENSIONS = ("first", "second", "third", "fourth", "fifth")
DIMENSION_OF: Mapping[str, str | None] = {
    "wrong_operation": "second",
    "slip": "fourth",
    "invented_number": "first",
    "omitted_step": "third",
    "unsupported_conclusion": "third",
    "filler": "fifth",
    "repetition": "fifth",
}
CHANGES = ("wrapped_lines", "renamed_variables")
LENGTH_RATIOS = {"omitted_step": 0.35, "filler": -0.6, "repetition": -0.3}  # log2, clean to faulty
RATERS = ("perfect", "random", "halo", "loves_length", "blind_in_third")
VOTES = 5


def scores_of(rater: str, problems: int, rng: np.random.Generator) -> Scores:
    """Return the scores that the rater gives to a pair of every fault for each problem.

    A fault lowers a score by two points, in four of five traces. Votes have a noise of 0.7.
    """
    lengths = rng.normal(5, 0.5, problems)
    clean = _rate(rater, lengths, None, rng)
    differences, kinds, ratios = [], [], []
    for kind in (*DIMENSION_OF, *CHANGES):
        ratio = LENGTH_RATIOS.get(kind, 0.0) * rng.uniform(0.6, 1.4, problems)
        differences.append(clean - _rate(rater, lengths - ratio, kind, rng))
        ratios.append(ratio)
        kinds += [kind] * problems
    numbers = np.arange(problems)
    return Scores(
        np.concatenate(differences),
        kinds,
        np.tile(numbers, len(ratios)),
        np.concatenate(ratios),
        clean,
        lengths,
        numbers,
    )


def _rate(rater: str, lengths: Floats, kind: str | None, rng: np.random.Generator) -> Floats:
    shape = (len(lengths), len(DIMENSIONS))
    if rater == "random":
        return _mean(rng.integers(1, 6, (*shape, VOTES)))
    scores = np.full(shape, 4.6) + rng.normal(0, 0.2, (len(lengths), 1))
    is_seen = rng.random(len(lengths)) < 0.8
    if rater == "loves_length":
        scores = np.repeat(3 + (lengths[:, None] - 5), len(DIMENSIONS), axis=1)
    elif kind is not None and kind in DIMENSION_OF:
        dimension = DIMENSION_OF[kind]
        severity = 1 + 0.2 * list(DIMENSION_OF).index(kind)
        if rater == "halo":  # some faults are worse than others, in all dimensions alike
            scores -= severity * is_seen[:, None]
        elif not (rater == "blind_in_third" and dimension == "third"):
            scores[:, DIMENSIONS.index(str(dimension))] -= 2 * is_seen
    noise = rng.normal(0, 0.7, (*shape, VOTES))
    return _mean(np.clip(np.rint(scores[..., None] + noise), 1, 5))


def _mean(votes: NDArray[Any]) -> Floats:
    mean: Floats = votes.mean(axis=-1)
    return mean

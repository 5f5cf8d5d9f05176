"""Compute a vote as the expected score: the mean of 1 to 5, weighted by the model's probabilities.

The probabilities are those at the token of the score in one reply, given the reply up to there. So
two traces hardly ever tie, and one reply says more than one vote. An engine shows them after the
grammar's mask and before the temperature; the grammar therefore admits every digit
(`rubric.DIGITS`), which lets a probability on 0 or 7 be seen and counted.
"""

from collections.abc import Iterable
from typing import Any

from delta.core.files import round4
from delta.inference.types import Reply
from delta.judging import rubric
from delta.judging.ratings import DECIMALS
from delta.judging.rubric import Vote


def expected_votes(reply: Reply, answer: str, votes: dict[str, Vote]) -> dict[str, Vote] | None:
    """Return the votes of a reply's `answer` with expected scores in place of the written ones.

    None where the probabilities at a score are not known, or none of them is on 1 to 5.
    """
    before = len(reply.text) - len(answer)  # a server may have separated the reasoning
    if reply.digits is None or not reply.text.endswith(answer):
        return None
    known = {digit["at"]: digit["probabilities"] for digit in reply.digits}
    expected = {}
    for dimension, place in rubric.score_places(answer).items():
        score = expected_score(known.get(before + place, {}))
        if score is None:
            return None
        expected[dimension] = votes[dimension]._replace(score=score[0], outside=score[1])
    return expected


def expected_score(probabilities: dict[str, float]) -> tuple[float, float] | None:
    """Return the mean score by the probabilities of tokens, and the probability outside 1 to 5.

    A token is a score if it is one of 1 to 5 but for white space. What is not among the most
    probable tokens is outside too. None where no score has a probability.
    """
    inside = dict.fromkeys(rubric.SCORES, 0.0)
    for token, probability in probabilities.items():
        if token.strip() in rubric.SCORE_OF_TEXT:
            inside[rubric.SCORE_OF_TEXT[token.strip()]] += probability
    total = sum(inside.values())
    if total <= 0:
        return None
    mean = sum(score * probability for score, probability in inside.items()) / total
    return round(mean, DECIMALS), max(0.0, 1 - total)


def mass_outside(votes: Iterable[Vote]) -> dict[str, Any]:
    """Return the mean and the largest probability outside 1 to 5; None where there is no vote."""
    outside = [vote.outside for vote in votes if vote.outside is not None]
    mean = sum(outside) / len(outside) if outside else None
    return {"mean": round4(mean), "largest": round4(max(outside, default=None))}

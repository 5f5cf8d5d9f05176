"""The paper's rubric (appendix A.1): five dimensions, the reply's schema, and its parser."""

import re
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import jsonschema

from delta.core import strict_json

LOWEST, HIGHEST = 1, 5
SCORES = range(LOWEST, HIGHEST + 1)
SCORE_OF_TEXT = {str(score): score for score in SCORES}
DIGITS = range(10)  # what a reply may hold where a score is read from probabilities
MAX_TEXT = 300  # characters of a justification or deduction
MAX_DEDUCTIONS = 5


class Dimension(NamedTuple):
    """A quality that the judge rates from LOWEST to HIGHEST, with what lowers the score."""

    name: str
    category: str
    success: str
    triggers: tuple[str, ...]


# To add a dimension, add a row.
RUBRIC = (
    Dimension(
        "factuality",
        "logic",
        "identifies the constants, variables and constraints; invents nothing",
        ("hallucinated data", "ignored explicit constraints"),
    ),
    Dimension(
        "strategy_coherence",
        "logic",
        "the approach fits the type of problem and is a coherent sequence",
        ("inefficient or incorrect theorem", "circular logic"),
    ),
    Dimension(
        "step_coherence",
        "logic",
        "transitions are valid; each step follows from the previous one",
        ("unjustified leaps", "magic numbers", "invalid transformations"),
    ),
    Dimension(
        "computational_precision",
        "logic",
        "no error in arithmetic, simplification or expansion",
        ("arithmetic errors", "sign errors", "typos"),
    ),
    Dimension(
        "signal_to_noise",
        "brevity",
        "dense, informative steps; little meta-commentary or redundancy",
        ("excessive meta-commentary", "irrelevant digressions", "circular work"),
    ),
)
DIMENSIONS = tuple(dimension.name for dimension in RUBRIC)
MEAN = "mean"  # of all dimensions, where a dimension may be named


class Vote(NamedTuple):
    """A judge's rating of one dimension of a trace."""

    score: float  # whole, or an expected score
    justification: str
    deductions: list[str]
    outside: float | None = None  # the probability outside 1 to 5, of an expected score


def as_text(order: Sequence[Dimension] = RUBRIC) -> str:
    """Return the rubric for the judge's prompt, with its dimensions in `order`."""
    lines = []
    for dimension in order:
        lines.append(f"- {dimension.category}.{dimension.name}: {dimension.success}.")
        lines.append(f"  Deduction triggers: {'; '.join(dimension.triggers)}.")
    return "\n".join(lines)


def example_reply(order: Sequence[Dimension] = RUBRIC) -> str:
    """Return an example reply for the prompt, because guided decoding hides the keys."""
    categories: dict[str, list[str]] = {}
    for dimension in order:
        categories.setdefault(dimension.category, []).append(f'"{dimension.name}": RATING')
    inner = ", ".join(f'"{name}": {{{", ".join(keys)}}}' for name, keys in categories.items())
    rating = '{"score": SCORE, "justification": "SENTENCE", "deductions_found": ["TRIGGER"]}'
    return f"{{{inner}}}\nwhere each RATING is {rating}"


def schema(order: Sequence[Dimension] = RUBRIC, scores: range = SCORES) -> dict[str, Any]:
    """Return the JSON schema of one reply with whole `scores`.

    {category: {dimension: {score, justification, deductions_found}}}. Every string and array is
    bounded, so a large enough max_tokens never cuts a reply.
    """
    text = {"type": "string", "maxLength": MAX_TEXT}
    rating = _object(
        {
            "score": {"type": "integer", "minimum": scores[0], "maximum": scores[-1]},
            "justification": text,
            "deductions_found": {"type": "array", "items": text, "maxItems": MAX_DEDUCTIONS},
        }
    )
    categories: dict[str, dict[str, Any]] = {}
    for dimension in order:
        categories.setdefault(dimension.category, {})[dimension.name] = rating
    return _object({name: _object(inner) for name, inner in categories.items()})


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


@cache
def _validator(scores: range) -> Any:
    return jsonschema.Draft202012Validator(schema(scores=scores))


# A key of JSON: within a text its second quotation mark would have a backslash before it.
_SCORE = re.compile(r'"score"\s*:\s*')


def score_places(text: str) -> dict[str, int]:
    """Return where the score of each dimension begins in a valid reply, in characters."""
    content = strict_json.loads(text)
    order = [dimension for category in content.values() for dimension in category]
    return dict(zip(order, (match.end() for match in _SCORE.finditer(text)), strict=True))


def parse_votes(text: str, scores: range = SCORES) -> dict[str, Vote] | None:
    """Return a reply's vote in each dimension; None if the reply is invalid.

    Replies are checked even if decoding was guided, because engines may silently ignore schemas.
    `true` and 3.0 are not scores.
    """
    try:
        content = strict_json.loads(text)
    except ValueError:
        return None
    if not _validator(scores).is_valid(content):
        return None
    votes = {}
    for dimension in RUBRIC:
        rating = content[dimension.category][dimension.name]
        if type(rating["score"]) is not int:
            return None
        votes[dimension.name] = Vote(
            rating["score"], rating["justification"], rating["deductions_found"]
        )
    return votes

"""Replies of a judge: ratings by dimension, nested by category as the schema asks."""

import json
from collections.abc import Mapping
from typing import Any

from delta.judging import rubric


def judge_reply(ratings: Mapping[str, Any]) -> str:
    """Return the JSON of a reply with a rating for each dimension."""
    categories: dict[str, dict[str, Any]] = {}
    for dimension in rubric.RUBRIC:
        categories.setdefault(dimension.category, {})[dimension.name] = ratings[dimension.name]
    return json.dumps(categories)


def constant_reply(score: int, justification: str, deductions: list[str]) -> str:
    """Return the JSON of a reply with equal ratings in all dimensions."""
    rating = {"score": score, "justification": justification, "deductions_found": deductions}
    return judge_reply(dict.fromkeys(rubric.DIMENSIONS, rating))

"""The judge's reply: its schema, valid votes and invalid ones."""

import json
from typing import Any

import pytest

from delta.judging.judge import build_requests
from delta.judging.rubric import Vote, parse_votes
from tests.helpers.toy_engine import ToyEngine
from tests.helpers.toy_judge import DIMENSIONS, GOOD, LLM, VALID, reply


def without(dimension: str) -> dict[str, Any]:
    content = reply()
    del content["logic"][dimension]
    return content


INVALID = {
    "score 6": json.dumps(reply(6)),
    "score 0": json.dumps(reply(0)),
    "score -1": json.dumps(reply(-1)),
    "a score in quotes": json.dumps(reply("3")),
    "score 3.0": json.dumps(reply(3.0)),
    "score 3.5": json.dumps(reply(3.5)),
    "score true": json.dumps(reply(score=True)),
    "score null": json.dumps(reply(None)),
    "score NaN": json.dumps(reply(float("nan"))),
    "score Infinity": json.dumps(reply(float("inf"))),
    "a number of 5,000 digits": json.dumps(reply()).replace(
        '"score": 4', '"score": ' + "4" * 5_000, 1
    ),
    "a dimension missing": json.dumps(without("step_coherence")),
    "a category missing": json.dumps({"logic": reply()["logic"]}),
    "an unknown dimension": json.dumps(reply() | {"style": {"score": 5}}),
    "an unknown key": json.dumps(reply(confidence=0.9)),
    "a justification missing": json.dumps(reply()).replace('"justification": "fine", ', "", 1),
    "a justification that is too long": json.dumps(reply(justification="x" * 301)),
    "text before": f"Here is my rating: {VALID}",
    "text after": f"{VALID} I hope this helps.",
    "a fenced block": f"```json\n{VALID}\n```",
    "cut": VALID[:-20],
    "cut by one": VALID[:-1],
    "twice": VALID + VALID,
    "a list": f"[{VALID}]",
    "a number": "4",
    "nothing": "",
    "deep nesting": "[" * 100_000,
    "a lone surrogate": json.dumps(reply(justification="\ud83d")),
}


def test_a_valid_reply_is_one_vote_in_each_dimension() -> None:
    assert parse_votes(VALID) == {
        "factuality": Vote(2, "invents a 4", ["magic numbers"]),
        **{name: Vote(4, "fine", []) for name in DIMENSIONS[1:]},
    }


@pytest.mark.parametrize("score", [1, 2, 3, 4, 5])
def test_every_score_of_the_scale_is_a_vote(score: int) -> None:
    by_dimension = parse_votes(json.dumps(reply(score), indent=2))
    assert by_dimension is not None
    assert by_dimension["factuality"].score == score


@pytest.mark.parametrize("name", INVALID)
def test_an_invalid_reply_is_not_a_vote(name: str) -> None:
    assert parse_votes(INVALID[name]) is None


def test_the_schema_of_a_vote_bounds_every_string_and_list() -> None:
    _, request = next(build_requests(LLM, ToyEngine(str), "weights", [GOOD]))
    assert request.schema is not None
    schema = json.loads(request.schema)
    assert schema["required"] == ["logic", "brevity"]
    rating = schema["properties"]["brevity"]["properties"]["signal_to_noise"]
    assert rating == {
        "type": "object",
        "properties": {
            "score": {"type": "integer", "minimum": 1, "maximum": 5},
            "justification": {"type": "string", "maxLength": 300},
            "deductions_found": {
                "type": "array",
                "items": {"type": "string", "maxLength": 300},
                "maxItems": 5,
            },
        },
        "required": ["score", "justification", "deductions_found"],
        "additionalProperties": False,
    }

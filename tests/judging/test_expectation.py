"""Votes as expected scores: by hand, from an engine's replies to the table of ratings."""

import json
from typing import Any

import polars as pl
import pytest

from delta.analysis.inter_rater import krippendorff_alpha
from delta.inference.types import DigitToken, Reply, Request
from delta.judging import rubric
from delta.judging.agreement import judge_agreement
from delta.judging.expectation import expected_score
from delta.judging.judge import build_requests, judge_by_llm
from tests.helpers.toy_engine import ToyEngine
from tests.helpers.toy_judge import DIMENSIONS, GOOD, LLM, POOR, reply

EXPECTING = LLM.model_copy(update={"expectation": True, "max_attempts": 2})
FLAT = {"1": 0.5, "5": 0.5}


def test_the_expected_score_is_the_mean_of_1_to_5_and_the_rest_is_outside() -> None:
    score = expected_score({"3": 0.3, " 3": 0.1, "4": 0.4, "0": 0.1, "10": 0.05, "three": 0.05})
    assert score is not None
    assert score[0] == 3.5  # (3 x 0.4 + 4 x 0.4) / 0.8
    assert score[1] == pytest.approx(0.2)
    assert expected_score({"5": 1.0}) == (5.0, 0.0)
    assert expected_score({"0": 0.9, "6": 0.1}) is None
    assert expected_score({"3": 0.0}) is None
    assert expected_score({}) is None


def answer(by_dimension: dict[str, dict[str, float]], prefix: str = "", **changes: Any) -> Reply:
    """Return a valid reply with these probabilities at the scores of its dimensions."""
    text = json.dumps(reply(7, justification='a 3, "score": 2', **changes))
    places = rubric.score_places(text)
    digits: list[DigitToken] = [
        {"at": len(prefix) + places[name], "probabilities": probabilities}
        for name, probabilities in by_dimension.items()
    ]
    return Reply(prefix + text, "stop", 10, 20, digits=digits)


def judged(
    answers: Any, inputs: list[Any] | None = None, chat_format: str = "plain"
) -> tuple[pl.DataFrame, dict[str, Any], list[Request]]:
    engine = ToyEngine(answers, chat_format=chat_format)
    requests = list(build_requests(EXPECTING, engine, "weights", inputs or [GOOD]))
    rows, counts = judge_by_llm(
        EXPECTING, 1.0, inputs or [GOOD], requests, engine.generate, engine.chat_format
    )
    return rows, counts, [request for _, request in requests]


ALL = dict.fromkeys(DIMENSIONS, FLAT) | {"factuality": {"2": 0.25, "3": 0.25, "7": 0.5}}


def test_one_reply_a_trace_gives_votes_that_are_no_whole_numbers() -> None:
    rows, counts, requests = judged(lambda _: answer(ALL), [GOOD, POOR])
    assert [request.sample for request in requests] == [0, 0]
    assert {request.digit_alternatives for request in requests} == {20}
    first = rows.filter(pl.col("trace_id") == GOOD.trace_id)
    assert dict(zip(first["dimension"], first["votes"].to_list(), strict=True)) == {
        "factuality": [2.5],
        **{name: [3.0] for name in DIMENSIONS[1:]},
    }
    assert first["refused"].to_list() == [0] * 5
    assert counts["votes"] == 2
    # Two of ten scores have half of their probability on 7.
    assert counts["mass_outside"] == {"mean": 0.1, "largest": 0.5}


def test_the_schema_admits_every_digit_so_that_probability_outside_1_to_5_is_seen() -> None:
    _, _, (request,) = judged(lambda _: answer(ALL))
    assert request.schema is not None
    schema = json.loads(request.schema)
    score = schema["properties"]["logic"]["properties"]["factuality"]["properties"]["score"]
    assert score == {"type": "integer", "minimum": 0, "maximum": 9}
    assert rubric.parse_votes(answer(ALL).text) is None  # a vote of 7
    assert rubric.parse_votes(answer(ALL).text, rubric.DIGITS) is not None


def test_reasoning_before_the_answer_moves_the_scores() -> None:
    begin, end = "<|channel|>analysis<|message|>", "<|end|><|start|>assistant"
    prefix = f"{begin}A 3?{end}<|channel|>final <|constrain|>json<|message|>"
    rows, counts, _ = judged(lambda _: answer(ALL, prefix), chat_format="gpt-oss")
    assert (counts["votes"], counts["refused"]) == (1, 0)
    assert rows["votes"].to_list() == [[2.5], *[[3.0]] * 4]
    split = answer(ALL)._replace(reasoning="A 3?")
    again, _, _ = judged(lambda _: split, chat_format="gpt-oss")
    assert again["votes"].to_list() == rows["votes"].to_list()


@pytest.mark.parametrize(
    "given",
    [
        answer(ALL)._replace(digits=None),
        answer(dict.fromkeys(DIMENSIONS[1:], FLAT)),
        answer(ALL | {"signal_to_noise": {"7": 1.0}}),
    ],
    ids=["no log-probabilities", "none at one score", "none on 1 to 5"],
)
def test_a_reply_without_the_probabilities_of_a_score_is_refused_and_no_number(
    given: Reply,
) -> None:
    rows, counts, _ = judged(lambda _: given)
    assert rows["votes"].to_list() == [[]] * 5
    assert rows["refused"].to_list() == [1] * 5
    assert (counts["refused"], counts["replies_no_probabilities"], counts["attempts"]) == (1, 2, 2)
    assert counts["mass_outside"] == {"mean": None, "largest": None}


def test_expected_scores_are_compared_as_whole_numbers() -> None:
    def table(judge: str, votes: list[float]) -> pl.DataFrame:
        return pl.DataFrame(
            {
                "trace_id": ["a", "b", "c"],
                "judge": judge,
                "dimension": "factuality",
                "votes": [[vote] for vote in votes],
            }
        )

    first, second = table("x", [2.6, 4.4, 1.2]), table("y", [3.0, 5.0, 4.0])
    row = judge_agreement(first, second)["factuality"]
    assert (row["exact"], row["within_one"]) == (0.3333, 0.6667)  # 3 and 3, 4 and 5, 1 and 4
    assert row["mean_difference"] == 1.2667  # (0.4 + 0.6 + 2.8) / 3


def test_alpha_of_many_expected_scores_needs_no_table_of_their_values() -> None:
    votes = pl.Series(range(40_000)).to_numpy() / 10_000 + 1.0
    matrix = votes.reshape(-1, 2)[:, [0, 0]]  # two raters that agree on 20,000 values
    assert krippendorff_alpha(matrix, "ordinal") == pytest.approx(1.0)
    assert krippendorff_alpha(matrix, "interval") == pytest.approx(1.0)

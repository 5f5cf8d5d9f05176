"""The judge: valid and refused votes, its inputs, and the rules as a judge."""

import json
from typing import Any

import polars as pl
import pytest

from delta.core.errors import InputError
from delta.core.schemas import PROBLEM, TRACE
from delta.core.tables import frame_of
from delta.inference.types import Reply
from delta.judging.judge import (
    JudgeInput,
    build_requests,
    judge_by_llm,
    judge_by_rules,
    judge_inputs,
)
from delta.judging.rules.rate import RulesParams
from delta.pairing.select import add_deltas
from tests.helpers.toy_engine import ToyEngine
from tests.helpers.toy_judge import DIMENSIONS, GOOD, LLM, POOR, VALID, reply


def ratings(
    engine: ToyEngine, inputs: list[JudgeInput], max_refused: float = 1.0
) -> tuple[pl.DataFrame, dict[str, Any]]:
    requests = list(build_requests(LLM, engine, "weights", inputs))
    return judge_by_llm(LLM, max_refused, inputs, requests, engine.generate, engine.chat_format)


def expected_counts(
    *,
    votes: int,
    refused: int = 0,
    invalid: int = 0,
    cut: int = 0,
    server: int = 0,
    attempts: int = 1,
) -> dict[str, Any]:
    return {
        "judge": "toy",
        "votes": votes,
        "refused": refused,
        "replies": votes + invalid + cut + server,
        "replies_invalid": invalid,
        "replies_cut": cut,
        "replies_no_probabilities": 0,
        "replies_refused_by_server": server,
        "replies_failed": 0,
        "attempts": attempts,
    }


def test_every_vote_is_kept() -> None:
    engine = ToyEngine(lambda request: json.dumps(reply(request.sample + 1)))
    rows, counts = ratings(engine, [GOOD])
    assert counts == expected_counts(votes=3)
    assert rows["dimension"].to_list() == list(DIMENSIONS)
    assert rows["votes"].to_list() == [[1, 2, 3], *[[4, 4, 4]] * 4]
    assert rows["refused"].to_list() == [0] * 5
    assert set(rows["trace_id"]) == {"p.0/strong/0"}
    assert set(rows["judge"]) == {"toy"}


def test_an_invalid_reply_is_requested_again_under_the_next_attempt() -> None:
    engine = ToyEngine(
        lambda request: "Well," if (request.sample, request.attempt) == (1, 0) else VALID
    )
    rows, counts = ratings(engine, [GOOD])
    assert sorted(engine.requested) == [(0, 0), (1, 0), (1, 1), (2, 0)]
    assert counts == expected_counts(votes=3, invalid=1, attempts=2)
    assert rows["votes"][0].to_list() == [2, 2, 2]


def test_a_vote_is_refused_after_the_last_attempt_and_counted() -> None:
    engine = ToyEngine(lambda request: "Well," if request.sample == 2 else VALID)
    rows, counts = ratings(engine, [GOOD])
    assert sorted(engine.requested) == [(0, 0), (1, 0), (2, 0), (2, 1), (2, 2)]
    assert counts == expected_counts(votes=2, refused=1, invalid=3, attempts=3)
    assert rows["votes"].to_list() == [[2, 2], *[[4, 4]] * 4]
    assert rows["refused"].to_list() == [1] * 5


BEGIN, BETWEEN = "<|channel|>analysis<|message|>", "<|end|><|start|>assistant"
FINAL = "<|channel|>final <|constrain|>json<|message|>"
CHANNELS: dict[str, tuple[Reply, str | None]] = {
    "reasoning, then JSON": (Reply(BEGIN + "Fine." + BETWEEN + FINAL + VALID, "stop", 1, 1), None),
    "JSON at once": (Reply(FINAL + VALID, "stop", 1, 1), None),
    "reasoning about JSON": (
        Reply(BEGIN + VALID + BETWEEN + FINAL + VALID, "stop", 1, 1),
        None,
    ),
    "a server that splits": (Reply(VALID, "stop", 1, 1, reasoning="Fine."), None),
    "a server without channels": (Reply(VALID, "stop", 1, 1), None),
    "cut while reasoning": (Reply(BEGIN + VALID, "length", 1, 1), "cut"),
    "cut before the JSON": (Reply(BEGIN + "a" + BETWEEN + FINAL, "length", 1, 1), "cut"),
    "cut within the JSON": (Reply(FINAL + VALID[:-9], "length", 1, 1), "cut"),
    "cut at a server that splits": (Reply("", "length", 1, 1, reasoning="Let me"), "cut"),
    "reasoning alone": (Reply(BEGIN + "Fine." + BETWEEN, "stop", 1, 1), "cut"),
    "JSON in the analysis only": (Reply(BEGIN + VALID + BETWEEN + FINAL, "stop", 1, 1), "invalid"),
    "prose in the final channel": (Reply(FINAL + "It is fine.", "stop", 1, 1), "invalid"),
    "score 6": (Reply(FINAL + json.dumps(reply(6)), "stop", 1, 1), "invalid"),
    "nothing": (Reply("", "stop", 1, 1), "invalid"),
    "the server refused": (Reply("", "refused", 1, 0), "server"),
}


@pytest.mark.parametrize("case", CHANNELS)
def test_a_reply_in_channels_is_a_vote_or_a_counted_failure(case: str) -> None:
    answer, failure = CHANNELS[case]
    rows, counts = ratings(ToyEngine(lambda _: answer, chat_format="gpt-oss"), [GOOD])
    if failure is None:
        assert counts == expected_counts(votes=3)
        assert rows["votes"][0].to_list() == [2, 2, 2]
    else:
        # Three votes, three attempts each.
        assert counts == expected_counts(votes=0, refused=3, attempts=3, **{failure: 9})
        assert rows["votes"].to_list() == [[]] * 5
    assert rows["refused"].to_list() == [3 if failure else 0] * 5


def test_more_refused_votes_than_max_refused_are_an_error() -> None:
    engine = ToyEngine(lambda request: "Well," if request.sample == 2 else VALID)
    with pytest.raises(InputError) as caught:
        ratings(engine, [GOOD, POOR], max_refused=0.3)
    assert str(caught.value) == (
        "judge: 2 of 6 votes were refused after 3 attempts; expected at most "
        "judge.max_refused = 0.3"
    )
    assert ratings(engine, [GOOD, POOR], max_refused=0.34)[1]["refused"] == 2


def test_without_traces_the_table_is_empty_and_no_request_is_sent() -> None:
    engine = ToyEngine(lambda _: VALID)
    rows, counts = ratings(engine, [], max_refused=0.0)
    assert (rows.height, engine.requested) == (0, [])
    assert counts == expected_counts(votes=0, attempts=0)
    assert judge_by_rules(RulesParams(votes=3, seed=1), [])[0].height == 0


def test_a_trace_with_refused_votes_has_a_null_delta_and_not_zero() -> None:
    engine = ToyEngine(lambda request: "Well," if "It is 4." in request.prompt else VALID)
    rows, counts = ratings(engine, [GOOD, POOR])
    assert counts["refused"] == 3
    refused = rows.filter(pl.col("trace_id") == POOR.trace_id)
    assert refused["votes"].to_list() == [[]] * 5
    assert refused["justification"].to_list() == [None] * 5
    pair = pl.DataFrame(
        {"pair_id": ["x"], "chosen_id": [GOOD.trace_id], "rejected_id": [POOR.trace_id]}
    )
    assert add_deltas(pair, rows)["delta_factuality"].to_list() == [None]


def test_the_rules_give_votes_and_count_what_they_could_not_read() -> None:
    right = JudgeInput("p.0/a/0", "What is 3 + 4?", r"3 + 4 = 7. The answer is \boxed{7}.")
    wrong = JudgeInput("p.0/b/0", "What is 3 + 4?", r"3 + 4 = 8. The answer is \boxed{8}.")
    prose = JudgeInput("p.0/c/0", "What is 3 + 4?", "It is the sum of both.")
    rows, counts = judge_by_rules(RulesParams(votes=3, seed=1), [right, wrong, prose])
    no_vote = dict.fromkeys(DIMENSIONS, 1) | {"signal_to_noise": 0}
    # Three traces, five dimensions, three votes; one trace has votes in one dimension only.
    assert counts == {"judge": "rules", "votes": 33, "refused": 12, "no_vote": no_vote}
    assert set(rows["judge"]) == {"rules"}
    precision = rows.filter(pl.col("dimension") == "computational_precision")
    assert precision["trace_id"].to_list() == ["p.0/a/0", "p.0/b/0", "p.0/c/0"]
    assert precision["votes"].to_list() == [[5, 5, 5], [1, 1, 1], []]
    assert precision["refused"].to_list() == [0, 0, 3]
    assert precision["justification"].to_list()[2] == "No vote: no equation that we can read."
    assert precision["deductions"].to_list()[:2] == [[], ["arithmetic error: 3 + 4 = 8"]]


def test_a_trace_that_the_rules_cannot_read_has_a_null_delta() -> None:
    read = JudgeInput("p.0/a/0", "What is 3 + 4?", r"3 + 4 = 7. The answer is \boxed{7}.")
    prose = JudgeInput("p.0/c/0", "What is 3 + 4?", "It is the sum of both.")
    rows, _ = judge_by_rules(RulesParams(votes=3, seed=1), [read, prose])
    pair = pl.DataFrame({"pair_id": ["x"], "chosen_id": ["p.0/a/0"], "rejected_id": ["p.0/c/0"]})
    deltas = add_deltas(pair, rows)
    assert deltas["delta_computational_precision"].to_list() == [None]
    assert deltas["delta_signal_to_noise"].null_count() == 0


def traces_of(*rows: tuple[str, str, tuple[int, int, int | None], str]) -> pl.DataFrame:
    """Return a trace table of (problem_id, text, reasoning span, finish_reason)."""
    return frame_of(
        [
            {
                "trace_id": f"{problem_id}/a/{number}",
                "problem_id": problem_id,
                "generator": "a",
                "sample": number,
                "text": text,
                "reasoning_start": border[0],
                "reasoning_end": border[1],
                "answer_start": border[2],
                "finish_reason": finish_reason,
            }
            for number, (problem_id, text, border, finish_reason) in enumerate(rows)
        ],
        TRACE,
    )


PROBLEMS = frame_of(
    [{"problem_id": "p.0", "statement": "1 + 1?", "gold_answer": "2"}],
    PROBLEM,
)


def test_a_judge_reads_reasoning_and_answer_without_markers() -> None:
    spans = {
        "<think>\n1 + 1 = 2.\n</think>\n\nIt is 2.": (7, 19, 29),
        "<|im_start|>think\n1 + 1 = 2.\n<|im_start|>answer\nIt is 2.": (17, 29, 48),
        "<think>\n1 + 1 =": (7, 15, None),
        "  It is 2.\n": (0, 0, 0),
    }
    traces = traces_of(*(("p.0", text, span, "stop") for text, span in spans.items()))
    inputs, counts = judge_inputs(PROBLEMS, traces)
    assert [item.trace for item in inputs] == [
        "1 + 1 = 2.\n\nIt is 2.",
        "1 + 1 = 2.\n\nIt is 2.",
        "1 + 1 =",
        "  It is 2.\n",
    ]
    assert {item.statement for item in inputs} == {"1 + 1?"}
    assert counts == {"traces_rated": 4, "traces_without_text": 0}


def test_a_refused_request_has_no_trace_to_rate() -> None:
    traces = traces_of(("p.0", "", (0, 0, 0), "refused"), ("p.0", "", (0, 0, 0), "stop"))
    inputs, counts = judge_inputs(PROBLEMS, traces)
    assert [item.trace_id for item in inputs] == ["p.0/a/1"]
    assert counts == {"traces_rated": 1, "traces_without_text": 1}


def test_a_trace_without_its_problem_is_an_error() -> None:
    with pytest.raises(InputError, match="1 traces belong to no problem"):
        judge_inputs(PROBLEMS, traces_of(("p.1", "2", (0, 0, 0), "stop")))

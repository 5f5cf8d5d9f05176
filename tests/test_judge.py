"""Ratings: what counts as a vote, what a refusal becomes, and what the judge is shown."""

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from delta.engines import Reply, Request, as_json
from delta.errors import InputError
from delta.judge import (
    JudgeParams,
    LlmParams,
    Subject,
    by_llm,
    by_rules,
    first_requests,
    subjects,
)
from delta.records import Message
from delta.rubric import Vote, votes
from delta.select import deltas

GOLDEN = Path(__file__).parent / "golden" / "judge_prompt.txt"
LOGIC = ("factuality", "strategy_coherence", "step_coherence", "computational_precision")
DIMENSIONS = (*LOGIC, "signal_to_noise")
GOOD = Subject("p.0/strong/0", r"What is $\frac{6}{2}$?", r"$\frac{6}{2} = 3$, so \boxed{3}. ${x}")
POOR = Subject("p.0/weak/0", r"What is $\frac{6}{2}$?", "It is 4.")


def reply(score: Any = 4, **changed: Any) -> dict[str, Any]:
    """A judge's reply with `score` for factuality and 4 elsewhere."""
    rating = {"score": 4, "justification": "fine", "deductions_found": []}
    logic = {name: dict(rating) for name in LOGIC}
    logic["factuality"] |= {"score": score, **changed}
    return {"logic": logic, "brevity": {"signal_to_noise": rating}}


def without(dimension: str) -> dict[str, Any]:
    content = reply()
    del content["logic"][dimension]
    return content


VALID = json.dumps(reply(2, justification="invents a 4", deductions_found=["magic numbers"]))
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
    "an endless number": json.dumps(reply()).replace('"score": 4', '"score": ' + "4" * 5_000, 1),
    "a dimension missing": json.dumps(without("step_coherence")),
    "a category missing": json.dumps({"logic": reply()["logic"]}),
    "an unknown dimension": json.dumps(reply() | {"style": {"score": 5}}),
    "an unknown key": json.dumps(reply(confidence=0.9)),
    "a justification missing": json.dumps(reply()).replace('"justification": "fine", ', "", 1),
    "a justification without end": json.dumps(reply(justification="x" * 301)),
    "prose before": f"Here is my rating: {VALID}",
    "prose after": f"{VALID} I hope this helps.",
    "a fence around": f"```json\n{VALID}\n```",
    "cut": VALID[:-20],
    "cut by one": VALID[:-1],
    "twice": VALID + VALID,
    "a list": f"[{VALID}]",
    "a number": "4",
    "nothing": "",
    "a deep nest": "[" * 100_000,
    "half a character": json.dumps(reply(justification="\ud83d")),
}


class ToyEngine:
    """Renders messages as one JSON line; `answers` decides each reply by vote and attempt."""

    name = "toy"

    def __init__(self, answers: Callable[[Request], str]) -> None:
        self.answers = answers
        self.asked: list[tuple[int, int]] = []

    def render(self, messages: list[Message]) -> str:
        return as_json(messages)

    def ask(self, requests: Iterable[Request]) -> Iterator[tuple[Request, Reply]]:
        for one in reversed(list(requests)):  # an engine answers in its own order
            self.asked.append((one.sample, one.attempt))
            yield one, Reply(self.answers(one), "stop", 10, 20)


def judging(max_refused: float = 1.0) -> JudgeParams:
    llm = LlmParams(
        model="toy", votes=3, attempts=3, temperature=0.6, top_p=1.0, max_tokens=99, seed=4
    )
    return JudgeParams(rater="llm", llm=llm, max_refused=max_refused)


def ratings(
    engine: ToyEngine, rated: list[Subject], params: JudgeParams
) -> tuple[pl.DataFrame, dict[str, Any]]:
    asked = list(first_requests(params.llm, engine, "weights", rated))
    return by_llm(params, rated, asked, engine.ask)


def test_a_valid_reply_is_one_vote_for_each_dimension() -> None:
    assert votes(VALID) == {
        "factuality": Vote(2, "invents a 4", ["magic numbers"]),
        **{name: Vote(4, "fine", []) for name in DIMENSIONS[1:]},
    }


@pytest.mark.parametrize("score", [1, 2, 3, 4, 5])
def test_every_score_of_the_scale_is_a_vote(score: int) -> None:
    found = votes(json.dumps(reply(score), indent=2))
    assert found is not None
    assert found["factuality"].score == score


@pytest.mark.parametrize("name", INVALID)
def test_an_invalid_reply_is_no_vote_and_never_a_number(name: str) -> None:
    assert votes(INVALID[name]) is None


def test_every_vote_is_kept() -> None:
    engine = ToyEngine(lambda one: json.dumps(reply(one.sample + 1)))
    rows, counts = ratings(engine, [GOOD], judging())
    assert counts == {"judge": "toy", "votes": 3, "refused": 0, "invalid_replies": 0}
    assert rows["dimension"].to_list() == list(DIMENSIONS)
    assert rows["votes"].to_list() == [[1, 2, 3], *[[4, 4, 4]] * 4]
    assert rows["refused"].to_list() == [0] * 5
    assert set(rows["trace_id"]) == {"p.0/strong/0"}


def test_an_invalid_reply_is_asked_again_under_the_next_attempt() -> None:
    first_bad = ToyEngine(lambda one: "Well," if (one.sample, one.attempt) == (1, 0) else VALID)
    rows, counts = ratings(first_bad, [GOOD], judging())
    assert sorted(first_bad.asked) == [(0, 0), (1, 0), (1, 1), (2, 0)]
    assert counts == {"judge": "toy", "votes": 3, "refused": 0, "invalid_replies": 1}
    assert rows["votes"][0].to_list() == [2, 2, 2]


def test_a_vote_is_refused_after_the_last_attempt_and_counted() -> None:
    engine = ToyEngine(lambda one: "Well," if one.sample == 2 else VALID)
    rows, counts = ratings(engine, [GOOD], judging())
    assert sorted(engine.asked) == [(0, 0), (1, 0), (2, 0), (2, 1), (2, 2)]
    assert counts == {"judge": "toy", "votes": 2, "refused": 1, "invalid_replies": 3}
    assert rows["votes"].to_list() == [[2, 2], *[[4, 4]] * 4]
    assert rows["refused"].to_list() == [1] * 5


def test_a_share_of_refusals_above_the_limit_is_an_error() -> None:
    engine = ToyEngine(lambda one: "Well," if one.sample == 2 else VALID)
    with pytest.raises(InputError) as caught:
        ratings(engine, [GOOD, POOR], judging(max_refused=0.3))
    assert str(caught.value) == (
        "judge: 2 of 6 votes were refused after 3 attempts, allowed: a share of "
        "judge.max_refused = 0.3"
    )
    assert ratings(engine, [GOOD, POOR], judging(max_refused=0.34))[1]["refused"] == 2


def test_a_trace_the_judge_refused_gives_no_delta_rather_than_zero() -> None:
    engine = ToyEngine(lambda one: "Well," if "It is 4." in one.prompt else VALID)
    rows, counts = ratings(engine, [GOOD, POOR], judging())
    assert counts["refused"] == 3
    refused = rows.filter(pl.col("trace_id") == POOR.trace_id)
    assert refused["votes"].to_list() == [[]] * 5
    assert refused["justification"].to_list() == [None] * 5
    pair = pl.DataFrame(
        {"pair_id": ["x"], "chosen_id": [GOOD.trace_id], "rejected_id": [POOR.trace_id]}
    )
    assert deltas(pair, rows)["delta_factuality"].to_list() == [None]


def test_the_prompt_holds_problem_and_trace_to_the_letter() -> None:
    asked = list(first_requests(judging().llm, ToyEngine(str), "weights", [GOOD]))
    assert [place for place, _ in asked] == [(GOOD.trace_id, vote) for vote in range(3)]
    (message,) = json.loads(asked[0][1].prompt)
    assert message["role"] == "user"
    assert r"<problem>" + "\n" + r"What is $\frac{6}{2}$?" + "\n</problem>" in message["content"]
    assert r"$\frac{6}{2} = 3$, so \boxed{3}. ${x}" + "\n</trace>" in message["content"]


def test_the_whole_prompt_is_the_golden_file() -> None:
    _, request = next(first_requests(judging().llm, ToyEngine(str), "weights", [GOOD]))
    (message,) = json.loads(request.prompt)
    assert message["content"] + "\n" == GOLDEN.read_text(encoding="utf-8")


def test_a_vote_is_guided_by_a_schema_that_bounds_everything() -> None:
    _, request = next(first_requests(judging().llm, ToyEngine(str), "weights", [GOOD]))
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


def test_the_rules_give_one_vote_a_trace_and_dimension() -> None:
    right = Subject("p.0/a/0", "What is 3 + 4?", r"3 + 4 = 7. The answer is \boxed{7}.")
    wrong = Subject("p.0/b/0", "What is 3 + 4?", r"3 + 4 = 8. The answer is \boxed{8}.")
    rows, counts = by_rules([right, wrong])
    assert counts == {"judge": "rules", "votes": 10, "refused": 0}
    assert rows.height == 10
    assert set(rows["judge"]) == {"rules"}
    assert rows["votes"].list.len().to_list() == [1] * 10
    precision = rows.filter(pl.col("dimension") == "computational_precision")
    assert precision["trace_id"].to_list() == ["p.0/a/0", "p.0/b/0"]
    assert precision["votes"].to_list() == [[5], [1]]
    assert precision["deductions"].to_list()[0] == []
    assert precision["deductions"].to_list()[1] == ["arithmetic error: 3 + 4 = 8"]


def test_a_rater_sees_statement_and_trace_and_a_lost_problem_is_an_error() -> None:
    problems = pl.DataFrame({"problem_id": ["p.0"], "statement": ["1 + 1?"], "gold_answer": ["2"]})
    traces = pl.DataFrame(
        {"trace_id": ["p.0/a/0", "p.1/a/0"], "problem_id": ["p.0", "p.1"], "text": ["2", "3"]}
    )
    assert subjects(problems, traces.head(1)) == [Subject("p.0/a/0", "1 + 1?", "2")]
    with pytest.raises(InputError, match="1 traces belong to no problem"):
        subjects(problems, traces)

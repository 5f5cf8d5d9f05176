"""The judge's budget: the traces it covers, and the ratings that a pairing needs."""

from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from delta.core.errors import InputError
from delta.judging.budget import Budget, is_sufficient, within_budget
from delta.pairing.pair import PairingParams, required_ratings
from tests.helpers.toy_pairs import (
    PROBLEMS,
    TracesAndVerdicts,
    by_outcome,
    four_samples,
    four_way,
    make_pairs,
    pairing,
    toy_traces,
)


def budget(any_: int = 0, correct: int = 0, incorrect: int = 0) -> Budget:
    return Budget(any=any_, correct=correct, incorrect=incorrect)


REQUIRED: list[tuple[PairingParams, dict[str, Budget]]] = [
    (pairing(per_problem=3), {"strong": budget(3), "weak": budget(3)}),
    (
        pairing(chosen_outcome="correct", per_problem=2),
        {"strong": budget(correct=2), "weak": budget(2)},
    ),
    (by_outcome(per_problem=2), {"r1": budget(correct=2, incorrect=2)}),
    (four_way("correct", "correct"), {"n4b": budget(correct=2)}),
    (four_way("incorrect", "incorrect"), {"n4b": budget(incorrect=2)}),
    (four_way("incorrect", "correct"), {"n4b": budget(correct=1, incorrect=1)}),
]


@pytest.mark.parametrize(("params", "expected"), REQUIRED)
def test_required_ratings_follow_the_pairing(
    params: PairingParams, expected: dict[str, Budget]
) -> None:
    assert required_ratings(params) == expected


def traces_within(
    side: TracesAndVerdicts,
    limits: Budget,
    order: Any = "sequential",
    require_complete: Any = "none",
) -> list[str]:
    traces, verdicts = side
    rows = within_budget(traces, verdicts, limits, 5, order, require_complete).collect()
    return rows["trace_id"].to_list()


def test_a_budget_covers_the_union_of_the_first_traces_by_outcome() -> None:
    traces = toy_traces("g", {"p.0": ["u a", "c- b", "c c", "i d", "i e"], "p.1": ["i f"]})

    def short(limits: Budget, require_complete: str = "none") -> list[str]:
        names = traces_within(traces, limits, require_complete=require_complete)
        return [name.replace("/g/", ".")[2:] for name in names]

    assert short(budget()) == []
    assert short(budget(1)) == ["0.0", "1.0"]
    assert short(budget(2)) == ["0.0", "0.1", "1.0"]
    assert short(budget(correct=1)) == ["0.1"]
    assert short(budget(correct=1), "both") == ["0.2"]
    assert short(budget(correct=1), "chosen") == ["0.1", "0.2"]
    assert short(budget(1, incorrect=1)) == ["0.0", "0.3", "1.0"]
    assert short(budget(9), "both") == ["0.0", "0.2", "0.3", "0.4", "1.0"]


def test_a_budget_covers_exactly_the_traces_of_plain_pairs() -> None:
    sides = {"strong": four_samples("strong"), "weak": four_samples("weak")}
    for per_problem in (1, 2):
        params = pairing(per_problem=per_problem)
        pairs, _ = make_pairs(params, *sides.values())
        for side, name in (("chosen_id", "strong"), ("rejected_id", "weak")):
            assert sorted(pairs[side]) == sorted(
                traces_within(sides[name], budget(per_problem), "random")
            )


def test_a_budget_is_sufficient_by_outcome_or_if_it_covers_every_sample() -> None:
    assert is_sufficient(budget(2, 1, 1), budget(correct=1, incorrect=1), samples=8)
    assert not is_sufficient(budget(2, 1, 0), budget(correct=1, incorrect=1), samples=8)
    assert is_sufficient(budget(8), budget(correct=2, incorrect=2), samples=8)
    assert not is_sufficient(budget(7), budget(correct=2), samples=8)
    unlimited = Budget(any=None, correct=0, incorrect=0)
    assert is_sufficient(unlimited, unlimited, samples=None)
    assert is_sufficient(budget(8), unlimited, samples=8)
    assert not is_sufficient(budget(8), unlimited, samples=None)


words = st.tuples(st.sampled_from(["c", "i", "u", "c-", "i-", "u-"]), st.sampled_from("abcde"))
samples = st.lists(words.map(" ".join), max_size=6)
problem_samples = st.fixed_dictionaries(dict.fromkeys(PROBLEMS["problem_id"], samples))
outcome = st.sampled_from(["any", "correct", "incorrect"])
pairings = st.fixed_dictionaries(
    {
        "chosen": st.sampled_from(["x", "y"]),
        "rejected": st.just("y"),
        "chosen_outcome": outcome,
        "rejected_outcome": outcome,
        "require_complete": st.sampled_from(["none", "chosen", "both"]),
        "trace_order": st.sampled_from(["random", "sequential"]),
        "per_problem": st.integers(1, 3),
        "four_way": st.booleans(),
    }
)


@settings(max_examples=80)
@given(pairings, problem_samples, problem_samples)
def test_every_pair_is_within_its_required_budget_and_counts_add_up(
    values: dict[str, Any], x: dict[str, list[str]], y: dict[str, list[str]]
) -> None:
    if values["four_way"]:
        values |= {"chosen": "y", "per_problem": 1}
    try:
        params = pairing(**values)
    except ValueError:
        assume(False)
    sides = {"x": toy_traces("x", x), "y": toy_traces("y", y)}
    names = list(dict.fromkeys([params.chosen, params.rejected]))
    try:
        pairs, counts = make_pairs(params, *(sides[name] for name in names))
    except InputError as error:
        assert "none of 4 problems" in str(error)  # noqa: PT017 - or there were pairs
        return
    required = required_ratings(params)
    for side, name in (("chosen_id", params.chosen), ("rejected_id", params.rejected)):
        inside = traces_within(
            sides[name], required[name], params.trace_order, params.require_complete
        )
        assert set(pairs[side]) <= set(inside)
    assert (pairs["chosen_id"] != pairs["rejected_id"]).all()
    assert counts["problems"] == counts["with_pairs"] + sum(counts["dropped"].values())
    places = counts["with_pairs"] * params.per_problem
    assert places == counts["pairs"] + sum(counts["pairs_dropped"].values())
    assert sum(counts["outcomes"].values()) == counts["pairs"] == pairs.height

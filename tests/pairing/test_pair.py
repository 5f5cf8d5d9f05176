"""Pairs of two generators or outcomes."""

from typing import Any

import polars as pl
import pytest

from delta.core.errors import InputError
from delta.core.schemas import PAIR
from delta.core.shuffle import shuffle_key
from tests.helpers.toy_pairs import by_outcome, four_samples, ids, make_pairs, pairing, toy_traces


def test_a_pair_has_one_problem_and_two_generators() -> None:
    pairs, counts = make_pairs(pairing(per_problem=4), four_samples("strong"), four_samples("weak"))
    assert (counts["problems"], counts["with_pairs"], counts["pairs"]) == (4, 4, 16)
    assert (counts["dropped"], counts["pairs_dropped"]) == ({}, {})
    assert dict(pairs.schema) == PAIR.columns
    for row in pairs.iter_rows(named=True):
        assert row["chosen_id"].startswith(f"{row['problem_id']}/strong/")
        assert row["rejected_id"].startswith(f"{row['problem_id']}/weak/")
        assert row["pair_id"] == f"{row['chosen_id']}>{row['rejected_id']}"
    assert pairs["chosen_id"].n_unique() == 16
    assert pairs["rejected_id"].n_unique() == 16
    assert pairs["recipe"].unique().to_list() == ["strong > weak"]


def test_a_pair_has_its_outcomes_and_length_difference() -> None:
    strong = toy_traces("strong", {"p.0": ["c four"], "p.1": ["u x"], "p.2": ["i √2"]})
    weak = toy_traces("weak", {"p.0": ["i to"], "p.1": ["c a long one"], "p.2": ["i 1"]})
    pairs, counts = make_pairs(pairing(), strong, weak)
    columns = ["chosen_outcome", "rejected_outcome", "length_difference"]
    assert pairs.select(columns).rows() == [
        ("correct", "incorrect", 2),
        ("ungradable", "correct", -9),
        ("incorrect", "incorrect", 1),
    ]
    assert counts["outcomes"] == {
        "correct>incorrect": 1,
        "incorrect>incorrect": 1,
        "ungradable>correct": 1,
    }
    assert counts["mean_length_difference"] == -2.0


def test_traces_without_a_gold_answer_are_paired_and_counted() -> None:
    strong, weak = toy_traces("strong", {"p.0": ["n good"]}), toy_traces("weak", {"p.0": ["n bad"]})
    pairs, counts = make_pairs(pairing(), strong, weak)
    assert pairs.select("chosen_outcome", "rejected_outcome").rows() == [("no_gold", "no_gold")]
    assert counts["outcomes"] == {"no_gold>no_gold": 1}
    assert (counts["chosen"]["ungradable"], counts["chosen"]["no_gold"]) == (0, 1)
    with pytest.raises(InputError, match="no correct trace of strong"):
        make_pairs(pairing(chosen_outcome="correct"), strong, weak)


def test_dropped_pairs_are_counted_by_reason() -> None:
    strong = toy_traces(
        "strong", {"p.0": ["c a", "c b"], "p.1": ["c c", "c c"], "p.2": ["c d", "c i"]}
    )
    weak = toy_traces("weak", {"p.0": ["c e"], "p.1": ["c c", "c c"], "p.3": ["c g", "c h"]})
    pairs, counts = make_pairs(pairing(per_problem=2), strong, weak)
    assert pairs["problem_id"].to_list() == ["p.0"]
    assert counts == {
        "recipe": "strong > weak",
        "problems": 4,
        "with_pairs": 1,
        "dropped": {"equal texts": 1, "no trace of strong": 1, "no trace of weak": 1},
        "pairs": 1,
        "pairs_dropped": {"no further trace of weak": 1},
        "outcomes": {"correct>correct": 1},
        "mean_length_difference": 0.0,
        "chosen": {"traces": 6, "incomplete": 0, "ungradable": 0, "no_gold": 0, "eligible": 6},
        "rejected": {"traces": 5, "incomplete": 0, "ungradable": 0, "no_gold": 0, "eligible": 5},
    }


def test_no_pair_at_all_is_an_error() -> None:
    same = {"p.0": ["c a"]}
    with pytest.raises(InputError) as caught:
        make_pairs(pairing(), toy_traces("strong", same), toy_traces("weak", same))
    assert str(caught.value) == (
        "pairing: none of 4 problems gave a pair ({'equal texts': 1, 'no trace of strong': 3})"
    )


def test_the_order_of_traces_depends_on_the_seed_and_not_on_row_order() -> None:
    sides = four_samples("strong"), four_samples("weak")
    first, _ = make_pairs(pairing(), *sides)
    shuffled = [
        (traces.collect().sample(fraction=1.0, shuffle=True, seed=3).lazy(), verdicts.reverse())
        for traces, verdicts in sides
    ]
    assert make_pairs(pairing(), *shuffled)[0].equals(first)
    selections = {tuple(make_pairs(pairing(seed=n), *shuffled)[0]["pair_id"]) for n in range(5)}
    assert len(selections) == 5
    smallest = min((f"p.0/strong/{n}" for n in range(4)), key=lambda name: shuffle_key(5, name))
    assert first["chosen_id"][0] == smallest


def test_sequential_trace_order_is_the_order_of_samples() -> None:
    eleven = {"p.0": [f"c {n}" for n in range(11)]}
    strong, weak = (
        toy_traces("strong", eleven),
        toy_traces("weak", {"p.0": [f"i {n}!" for n in range(11)]}),
    )
    pairs, _ = make_pairs(pairing(trace_order="sequential", per_problem=11), strong, weak)
    assert ids(pairs) == [(f"p.0/strong/{n}", f"p.0/weak/{n}") for n in range(11)]


R1 = toy_traces(
    "r1",
    {
        "p.0": ["i a", "u b", "c cc", "i dd", "c e"],  # correct 2, 4; incorrect 0, 3
        "p.1": ["c a", "c b"],
        "p.2": ["u a", "i b"],
        "p.3": ["c same", "i same"],
    },
)


def test_correct_traces_of_a_generator_are_paired_with_its_incorrect_ones() -> None:
    pairs, counts = make_pairs(by_outcome(), R1)
    assert ids(pairs) == [("p.0/r1/2", "p.0/r1/0")]
    assert pairs["recipe"].to_list() == ["r1 correct > r1 incorrect"]
    assert counts["dropped"] == {
        "equal texts": 1,
        "no correct trace of r1": 1,
        "no incorrect trace of r1": 1,
    }
    # Ungradable traces are neither, and are counted.
    assert counts["chosen"] == {
        "traces": 11,
        "incomplete": 0,
        "ungradable": 2,
        "no_gold": 0,
        "eligible": 5,
    }
    assert counts["rejected"] == {
        "traces": 11,
        "incomplete": 0,
        "ungradable": 2,
        "no_gold": 0,
        "eligible": 4,
    }
    both, _ = make_pairs(by_outcome(per_problem=2), R1)
    assert ids(both) == [("p.0/r1/2", "p.0/r1/0"), ("p.0/r1/4", "p.0/r1/3")]
    swapped = by_outcome(chosen_outcome="incorrect", rejected_outcome="correct")
    assert ids(make_pairs(swapped, R1)[0]) == [("p.0/r1/0", "p.0/r1/2")]


def test_outcomes_may_be_required_of_two_generators() -> None:
    strong, weak = (
        toy_traces("strong", {"p.0": ["i a", "c b"]}),
        toy_traces("weak", {"p.0": ["c c", "i d"]}),
    )
    params = pairing(chosen_outcome="correct", trace_order="sequential")
    pairs, _ = make_pairs(params, strong, weak)
    assert ids(pairs) == [("p.0/strong/1", "p.0/weak/0")]
    assert pairs["recipe"].to_list() == ["strong correct > weak"]


@pytest.mark.parametrize(
    ("require_complete", "expected"),
    [
        ("none", [("p.0/strong/0", "p.0/weak/0"), ("p.1/strong/0", "p.1/weak/0")]),
        ("chosen", [("p.0/strong/1", "p.0/weak/0")]),
        ("both", [("p.0/strong/1", "p.0/weak/1")]),
    ],
)
def test_a_side_that_must_be_complete_never_has_a_cut_trace(
    require_complete: str, expected: list[tuple[str, str]]
) -> None:
    strong = toy_traces("strong", {"p.0": ["c- a", "c b"], "p.1": ["c- c"]})
    weak = toy_traces("weak", {"p.0": ["c- d", "i e"], "p.1": ["c f"]})
    pairs, counts = make_pairs(
        pairing(trace_order="sequential", require_complete=require_complete), strong, weak
    )
    assert ids(pairs) == expected
    if require_complete == "none":
        assert counts["dropped"] == {"no trace of strong": 2}
        assert counts["chosen"]["eligible"] == 3
    else:
        assert counts["dropped"] == {"no complete trace of strong": 3}
        assert counts["chosen"]["eligible"] == 1
    assert counts["chosen"]["incomplete"] == 2


def test_a_trace_that_stopped_without_an_answer_is_not_complete() -> None:
    traces, verdicts = toy_traces("strong", {"p.0": ["i a", "c b"]})
    unanswered = traces.with_columns(
        answer_start=pl.when(pl.col("sample") > 0).then(pl.col("answer_start"))
    )
    weak = toy_traces("weak", {"p.0": ["c c"]})
    pairs, _ = make_pairs(
        pairing(trace_order="sequential", require_complete="chosen"), (unanswered, verdicts), weak
    )
    assert ids(pairs) == [("p.0/strong/1", "p.0/weak/0")]


def test_problems_with_a_pair_are_sampled_by_seed() -> None:
    some = {f"p.{n}": [f"c {n}"] for n in range(3)}
    sides = toy_traces("strong", some), four_samples("weak")
    pairs, counts = make_pairs(pairing(problems=2), *sides)
    assert counts["dropped"] == {"no trace of strong": 1, "not sampled": 1}
    assert (counts["problems"], counts["with_pairs"], counts["pairs"]) == (4, 2, 2)
    expected = sorted(some, key=lambda problem: shuffle_key(5, problem))[:2]
    assert set(pairs["problem_id"]) == set(expected)
    selections = {
        tuple(make_pairs(pairing(problems=2, seed=n), *sides)[0]["problem_id"]) for n in range(20)
    }
    assert len(selections) == 3
    with pytest.raises(InputError) as caught:
        make_pairs(pairing(problems=4), *sides)
    assert str(caught.value) == (
        "pairing.problems = 4: only 3 of 4 problems gave a pair ({'no trace of strong': 1}); "
        "expected 1 to 3, or null"
    )


def test_a_trace_without_a_verdict_is_an_error_that_names_it() -> None:
    traces, verdicts = four_samples("strong")
    with pytest.raises(InputError, match=r"trace 'p\.0/strong/0' has no verdict, nor have 3"):
        make_pairs(pairing(), (traces, verdicts[4:]), four_samples("weak"))


IMPOSSIBLE: dict[str, tuple[dict[str, Any], str]] = {
    "itself": ({"chosen": "weak"}, "both 'weak'; expected two different generators"),
    "the same outcome": (
        {"chosen": "weak", "chosen_outcome": "correct", "rejected_outcome": "correct"},
        "two different generators, or the outcomes correct and incorrect",
    ),
    "correct and any": ({"chosen": "weak", "chosen_outcome": "correct"}, "one each, or four_way"),
    "four ways of two": ({"four_way": True}, "one generator as chosen and rejected, outcomes"),
    "no problems": ({"problems": 0}, "greater than or equal to 1"),
    "no pairs": ({"per_problem": 0}, "greater than or equal to 1"),
    "unknown outcome": ({"chosen_outcome": "right"}, "'any', 'correct' or 'incorrect'"),
}


@pytest.mark.parametrize("case", IMPOSSIBLE)
def test_an_impossible_pairing_is_refused(case: str) -> None:
    changes, message = IMPOSSIBLE[case]
    with pytest.raises(ValueError, match="validation error") as caught:
        pairing(**changes)
    assert message in str(caught.value)

"""Pairs of two generators or outcomes, and the judge's budget that covers them."""

import hashlib
from typing import Any

import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from delta.core.errors import InputError
from delta.core.schemas import PAIR, TRACE, VERDICT
from delta.core.shuffle import shuffle_key, shuffle_keys
from delta.core.tables import frame_of
from delta.judging.budget import Budget, is_sufficient, within_budget
from delta.pairing.pair import PairingParams, _check_same_problems, pair, required_ratings

PROBLEMS = pl.DataFrame({"problem_id": ["p.0", "p.1", "p.2", "p.3"]})
OUTCOMES = {"c": "correct", "i": "incorrect", "u": "ungradable", "n": "no_gold"}


def pairing(**changes: Any) -> PairingParams:
    plain: dict[str, Any] = {
        "chosen": "strong",
        "rejected": "weak",
        "chosen_outcome": "any",
        "rejected_outcome": "any",
        "require_complete": "none",
        "trace_order": "random",
        "per_problem": 1,
        "four_way": False,
        "problems": None,
        "seed": 5,
    }
    return PairingParams(**plain | changes)


def by_outcome(**changes: Any) -> PairingParams:
    plain = {"chosen": "r1", "rejected": "r1", "trace_order": "sequential"}
    outcomes = {"chosen_outcome": "correct", "rejected_outcome": "incorrect"}
    return pairing(**plain | outcomes | changes)


Generated = tuple[pl.LazyFrame, pl.DataFrame]  # traces and their verdicts


def generated(generator: str, samples: dict[str, list[str]]) -> Generated:
    """Return the traces of problem → samples; "c four" is correct, "i- fo" incorrect and cut."""
    traces, verdicts = [], []
    for problem, specs in samples.items():
        for sample, (kind, _, text) in enumerate(spec.partition(" ") for spec in specs):
            name = f"{problem}/{generator}/{sample}"
            cut = kind.endswith("-")
            traces.append(
                {
                    "trace_id": name,
                    "problem_id": problem,
                    "generator": generator,
                    "sample": sample,
                    "text": text,
                    "answer_start": None if cut else 0,
                    "finish_reason": "length" if cut else "stop",
                }
            )
            verdicts.append({"trace_id": name, "outcome": OUTCOMES[kind[0]]})
    return frame_of(traces, TRACE).lazy(), frame_of(verdicts, VERDICT)


def four_samples(generator: str) -> Generated:
    names = PROBLEMS["problem_id"].to_list()
    return generated(generator, {p: [f"c {generator} {p} {n}" for n in range(4)] for p in names})


def make_pairs(params: PairingParams, *sides: Generated) -> tuple[pl.DataFrame, dict[str, Any]]:
    chosen, rejected = sides if len(sides) == 2 else (sides[0], sides[0])
    verdicts = pl.concat([verdicts for _, verdicts in sides])
    return pair(params, PROBLEMS, chosen[0], rejected[0], verdicts)


def ids(pairs: pl.DataFrame) -> list[tuple[str, str]]:
    return pairs.select("chosen_id", "rejected_id").rows()


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
    strong = generated("strong", {"p.0": ["c four"], "p.1": ["u x"], "p.2": ["i √2"]})
    weak = generated("weak", {"p.0": ["i to"], "p.1": ["c a long one"], "p.2": ["i 1"]})
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
    strong, weak = generated("strong", {"p.0": ["n good"]}), generated("weak", {"p.0": ["n bad"]})
    pairs, counts = make_pairs(pairing(), strong, weak)
    assert pairs.select("chosen_outcome", "rejected_outcome").rows() == [("no_gold", "no_gold")]
    assert counts["outcomes"] == {"no_gold>no_gold": 1}
    assert (counts["chosen"]["ungradable"], counts["chosen"]["no_gold"]) == (0, 1)
    with pytest.raises(InputError, match="no correct trace of strong"):
        make_pairs(pairing(chosen_outcome="correct"), strong, weak)


def test_dropped_pairs_are_counted_by_reason() -> None:
    strong = generated(
        "strong", {"p.0": ["c a", "c b"], "p.1": ["c c", "c c"], "p.2": ["c d", "c i"]}
    )
    weak = generated("weak", {"p.0": ["c e"], "p.1": ["c c", "c c"], "p.3": ["c g", "c h"]})
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
        make_pairs(pairing(), generated("strong", same), generated("weak", same))
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
        generated("strong", eleven),
        generated("weak", {"p.0": [f"i {n}!" for n in range(11)]}),
    )
    pairs, _ = make_pairs(pairing(trace_order="sequential", per_problem=11), strong, weak)
    assert ids(pairs) == [(f"p.0/strong/{n}", f"p.0/weak/{n}") for n in range(11)]


def test_the_shuffle_key_is_sha256() -> None:
    assert shuffle_key(6, "x") == hashlib.sha256(b"6\x00x").hexdigest()
    assert shuffle_key(6, "x")[:8] != shuffle_key(7, "x")[:8]
    assert shuffle_key(1, "2", "3") != shuffle_key(12, "3")
    names = pl.Series(["y", "é"])
    assert [key.hex() for key in shuffle_keys(6, "x", each=names)] == [
        shuffle_key(6, "x", "y"),
        shuffle_key(6, "x", "é"),
    ]
    assert shuffle_keys(6, each=pl.Series(["x"])).to_list() == [bytes.fromhex(shuffle_key(6, "x"))]


R1 = generated(
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
        generated("strong", {"p.0": ["i a", "c b"]}),
        generated("weak", {"p.0": ["c c", "i d"]}),
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
    strong = generated("strong", {"p.0": ["c- a", "c b"], "p.1": ["c- c"]})
    weak = generated("weak", {"p.0": ["c- d", "i e"], "p.1": ["c f"]})
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
    traces, verdicts = generated("strong", {"p.0": ["i a", "c b"]})
    unanswered = traces.with_columns(
        answer_start=pl.when(pl.col("sample") > 0).then(pl.col("answer_start"))
    )
    weak = generated("weak", {"p.0": ["c c"]})
    pairs, _ = make_pairs(
        pairing(trace_order="sequential", require_complete="chosen"), (unanswered, verdicts), weak
    )
    assert ids(pairs) == [("p.0/strong/1", "p.0/weak/0")]


def test_problems_with_a_pair_are_sampled_by_seed() -> None:
    some = {f"p.{n}": [f"c {n}"] for n in range(3)}
    sides = generated("strong", some), four_samples("weak")
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


COMBINATIONS = [(a, b) for a in ("correct", "incorrect") for b in ("correct", "incorrect")]
FOUR = generated(
    "n4b",
    {
        "p.0": ["i a", "c b", "c cc", "u d", "i e", "c f"],  # correct 1, 2; incorrect 0, 4
        "p.1": ["i g", "c h", "c i", "i j"],
        "p.2": ["c k", "i l", "i m", "u n"],  # one correct
        "p.3": ["c o", "c o", "i p", "i q"],  # two correct with equal texts count as one
    },
)


def four_way(chosen: str, rejected: str, **changes: Any) -> PairingParams:
    outcomes = {"chosen_outcome": chosen, "rejected_outcome": rejected}
    return by_outcome(**outcomes, chosen="n4b", rejected="n4b", four_way=True, **changes)


def test_four_way_pairs_have_the_same_problems_and_differ_only_in_correctness() -> None:
    sets = {outcomes: make_pairs(four_way(*outcomes), FOUR) for outcomes in COMBINATIONS}
    first = {outcomes: ids(pairs)[0] for outcomes, (pairs, _) in sets.items()}
    assert first == {
        ("correct", "correct"): ("p.0/n4b/1", "p.0/n4b/2"),
        ("correct", "incorrect"): ("p.0/n4b/1", "p.0/n4b/0"),
        ("incorrect", "correct"): ("p.0/n4b/0", "p.0/n4b/1"),
        ("incorrect", "incorrect"): ("p.0/n4b/0", "p.0/n4b/4"),
    }
    for (chosen, rejected), (pairs, counts) in sets.items():
        assert pairs["problem_id"].to_list() == ["p.0", "p.1"]
        assert pairs["recipe"][0] == f"n4b {chosen} > n4b {rejected}, four-way"
        assert counts["outcomes"] == {f"{chosen}>{rejected}": 2}
        assert counts["dropped"] == {"no further correct trace of n4b": 2}


def test_only_the_first_of_equal_texts_is_paired() -> None:
    same = generated("n4b", {"p.0": ["c a", "c a", "i d", "c b", "i d", "i e"]})
    pairs, _ = make_pairs(four_way("correct", "correct"), same)
    assert ids(pairs) == [("p.0/n4b/0", "p.0/n4b/3")]
    pairs, _ = make_pairs(four_way("incorrect", "incorrect"), same)
    assert ids(pairs) == [("p.0/n4b/2", "p.0/n4b/5")]


def test_all_four_combinations_sample_the_same_problems() -> None:
    names = PROBLEMS["problem_id"]
    traces = generated("n4b", {p: [f"c {p}", f"c {p}.", f"i {p}:", f"i {p}!"] for p in names})
    for seed in range(5):
        samples = {
            tuple(make_pairs(four_way(*outcomes, problems=2, seed=seed), traces)[0]["problem_id"])
            for outcomes in COMBINATIONS
        }
        assert len(samples) == 1
    with pytest.raises(InputError, match=r"problems = 3: only 2 of 4 problems gave a pair"):
        make_pairs(four_way("correct", "incorrect", problems=3), FOUR)


def test_combinations_with_different_problems_are_an_error() -> None:
    same = pl.DataFrame({"problem_id": ["p.0", "p.1"], "reason": [None, None]})
    sets = dict.fromkeys(("a", "b", "c"), same)
    _check_same_problems(sets | {"d": same})
    incomplete = pl.DataFrame({"problem_id": ["p.0", "p.1"], "reason": [None, "equal texts"]})
    with pytest.raises(InputError, match=r"'p\.1' is in the set a but not in all four"):
        _check_same_problems(sets | {"d": incomplete})


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


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"per_problem": 2}, "expected then per_problem 1"),
        ({"require_complete": "chosen"}, "expected then require_complete none or both"),
        ({"chosen_outcome": "any"}, "expected then outcomes correct or incorrect"),
    ],
)
def test_a_parameter_that_four_way_excludes_is_refused(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        by_outcome(**{"four_way": True} | changes)


def budget(any_: int = 0, correct: int = 0, incorrect: int = 0) -> Budget:
    return Budget(any=any_, correct=correct, incorrect=incorrect)


NEEDS: list[tuple[PairingParams, dict[str, Budget]]] = [
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


@pytest.mark.parametrize(("params", "expected"), NEEDS)
def test_required_ratings_follow_the_pairing(
    params: PairingParams, expected: dict[str, Budget]
) -> None:
    assert required_ratings(params) == expected


def rated(
    side: Generated, limits: Budget, order: Any = "sequential", require_complete: Any = "none"
) -> list[str]:
    traces, verdicts = side
    rows = within_budget(traces, verdicts, limits, 5, order, require_complete).collect()
    return rows["trace_id"].to_list()


def test_a_budget_covers_the_union_of_the_first_traces_by_outcome() -> None:
    traces = generated("g", {"p.0": ["u a", "c- b", "c c", "i d", "i e"], "p.1": ["i f"]})

    def short(limits: Budget, require_complete: str = "none") -> list[str]:
        names = rated(traces, limits, require_complete=require_complete)
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
            assert sorted(pairs[side]) == sorted(rated(sides[name], budget(per_problem), "random"))


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
    sides = {"x": generated("x", x), "y": generated("y", y)}
    names = list(dict.fromkeys([params.chosen, params.rejected]))
    try:
        pairs, counts = make_pairs(params, *(sides[name] for name in names))
    except InputError as error:
        assert "none of 4 problems" in str(error)  # noqa: PT017 - or there were pairs
        return
    required = required_ratings(params)
    for side, name in (("chosen_id", params.chosen), ("rejected_id", params.rejected)):
        inside = rated(sides[name], required[name], params.trace_order, params.require_complete)
        assert set(pairs[side]) <= set(inside)
    assert (pairs["chosen_id"] != pairs["rejected_id"]).all()
    assert counts["problems"] == counts["with_pairs"] + sum(counts["dropped"].values())
    places = counts["with_pairs"] * params.per_problem
    assert places == counts["pairs"] + sum(counts["pairs_dropped"].values())
    assert sum(counts["outcomes"].values()) == counts["pairs"] == pairs.height

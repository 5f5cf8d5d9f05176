"""Pairs of two generators or outcomes, and a judge's budget that covers them."""

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
from delta.pairing.pair import PairingParams, _same_problems, pair, required_ratings

PROBLEMS = pl.DataFrame({"problem_id": ["p.0", "p.1", "p.2", "p.3"]})
OUTCOMES = {"c": "correct", "i": "incorrect", "u": "ungradable", "n": "no_gold"}


def pairing(**changed: Any) -> PairingParams:
    plain: dict[str, Any] = {
        "chosen": "strong",
        "rejected": "weak",
        "chosen_outcome": "any",
        "rejected_outcome": "any",
        "complete": "any",
        "draw": "random",
        "per_problem": 1,
        "four_way": False,
        "problems": None,
        "seed": 5,
    }
    return PairingParams(**plain | changed)


def by_outcome(**changed: Any) -> PairingParams:
    plain = {"chosen": "r1", "rejected": "r1", "draw": "first"}
    outcomes = {"chosen_outcome": "correct", "rejected_outcome": "incorrect"}
    return pairing(**plain | outcomes | changed)


Toy = tuple[pl.LazyFrame, pl.DataFrame]  # traces and their verdicts


def toy(generator: str, samples: dict[str, list[str]]) -> Toy:
    """Problem → its samples as "outcome text", a cut one with a "-": "c four" or "i- fo"."""
    traces, verdicts = [], []
    for problem, written in samples.items():
        for sample, (kind, _, text) in enumerate(one.partition(" ") for one in written):
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


def many(generator: str) -> Toy:
    names = PROBLEMS["problem_id"].to_list()
    return toy(generator, {p: [f"c {generator} {p} {n}" for n in range(4)] for p in names})


def made(params: PairingParams, *sides: Toy) -> tuple[pl.DataFrame, dict[str, Any]]:
    chosen, rejected = sides if len(sides) == 2 else (sides[0], sides[0])
    verdicts = pl.concat([one[1] for one in sides])
    return pair(params, PROBLEMS, chosen[0], rejected[0], verdicts)


def ids(pairs: pl.DataFrame) -> list[tuple[str, str]]:
    return pairs.select("chosen_id", "rejected_id").rows()


def test_a_pair_is_of_one_problem_and_of_two_generators() -> None:
    pairs, counts = made(pairing(per_problem=4), many("strong"), many("weak"))
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


def test_a_pair_knows_its_outcomes_and_by_how_many_characters_it_differs() -> None:
    strong = toy("strong", {"p.0": ["c four"], "p.1": ["u x"], "p.2": ["i √2"]})
    weak = toy("weak", {"p.0": ["i to"], "p.1": ["c a long one"], "p.2": ["i 1"]})
    pairs, counts = made(pairing(), strong, weak)
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


def test_traces_without_a_gold_answer_are_paired_and_counted_apart() -> None:
    strong, weak = toy("strong", {"p.0": ["n good"]}), toy("weak", {"p.0": ["n bad"]})
    pairs, counts = made(pairing(), strong, weak)
    assert pairs.select("chosen_outcome", "rejected_outcome").rows() == [("no_gold", "no_gold")]
    assert counts["outcomes"] == {"no_gold>no_gold": 1}
    assert (counts["chosen"]["ungradable"], counts["chosen"]["no_gold"]) == (0, 1)
    with pytest.raises(InputError, match="no correct trace of strong"):
        made(pairing(chosen_outcome="correct"), strong, weak)


def test_what_makes_no_pair_is_counted_by_reason_and_the_counts_add_up() -> None:
    strong = toy("strong", {"p.0": ["c a", "c b"], "p.1": ["c c", "c c"], "p.2": ["c d", "c i"]})
    weak = toy("weak", {"p.0": ["c e"], "p.1": ["c c", "c c"], "p.3": ["c g", "c h"]})
    pairs, counts = made(pairing(per_problem=2), strong, weak)
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
        "chosen": {"traces": 6, "unfinished": 0, "ungradable": 0, "no_gold": 0, "qualifying": 6},
        "rejected": {"traces": 5, "unfinished": 0, "ungradable": 0, "no_gold": 0, "qualifying": 5},
    }


def test_no_pair_at_all_is_an_error() -> None:
    same = {"p.0": ["c a"]}
    with pytest.raises(InputError) as caught:
        made(pairing(), toy("strong", same), toy("weak", same))
    assert str(caught.value) == (
        "pairing: none of 4 problems gave a pair ({'equal texts': 1, 'no trace of strong': 3})"
    )


def test_the_draw_hangs_on_the_seed_and_not_on_the_order_of_rows() -> None:
    sides = many("strong"), many("weak")
    first, _ = made(pairing(), *sides)
    shuffled = [
        (traces.collect().sample(fraction=1.0, shuffle=True, seed=3).lazy(), verdicts.reverse())
        for traces, verdicts in sides
    ]
    assert made(pairing(), *shuffled)[0].equals(first)
    drawn = {tuple(made(pairing(seed=n), *shuffled)[0]["pair_id"]) for n in range(5)}
    assert len(drawn) == 5
    least = min((f"p.0/strong/{n}" for n in range(4)), key=lambda name: shuffle_key(5, name))
    assert first["chosen_id"][0] == least


def test_the_first_draw_takes_samples_in_their_order() -> None:
    eleven = {"p.0": [f"c {n}" for n in range(11)]}
    strong, weak = toy("strong", eleven), toy("weak", {"p.0": [f"i {n}!" for n in range(11)]})
    pairs, _ = made(pairing(draw="first", per_problem=11), strong, weak)
    assert ids(pairs) == [(f"p.0/strong/{n}", f"p.0/weak/{n}") for n in range(11)]


def test_the_drawing_order_is_that_of_a_published_hash() -> None:
    assert shuffle_key(6, "x") == hashlib.sha256(b"6\x00x").hexdigest()
    assert shuffle_key(6, "x")[:8] != shuffle_key(7, "x")[:8]
    assert shuffle_key(1, "2", "3") != shuffle_key(12, "3")
    names = pl.Series(["y", "é"])
    assert [key.hex() for key in shuffle_keys(6, "x", each=names)] == [
        shuffle_key(6, "x", "y"),
        shuffle_key(6, "x", "é"),
    ]
    assert shuffle_keys(6, each=pl.Series(["x"])).to_list() == [bytes.fromhex(shuffle_key(6, "x"))]


R1 = toy(
    "r1",
    {
        "p.0": ["i a", "u b", "c cc", "i dd", "c e"],  # correct 2, 4; incorrect 0, 3
        "p.1": ["c a", "c b"],
        "p.2": ["u a", "i b"],
        "p.3": ["c same", "i same"],
    },
)


def test_one_generators_right_traces_against_its_wrong_ones() -> None:
    pairs, counts = made(by_outcome(), R1)
    assert ids(pairs) == [("p.0/r1/2", "p.0/r1/0")]
    assert pairs["recipe"].to_list() == ["r1 correct > r1 incorrect"]
    assert counts["dropped"] == {
        "equal texts": 1,
        "no correct trace of r1": 1,
        "no incorrect trace of r1": 1,
    }
    # Ungradable is neither: never drawn, and counted apart.
    assert counts["chosen"] == {
        "traces": 11,
        "unfinished": 0,
        "ungradable": 2,
        "no_gold": 0,
        "qualifying": 5,
    }
    assert counts["rejected"] == {
        "traces": 11,
        "unfinished": 0,
        "ungradable": 2,
        "no_gold": 0,
        "qualifying": 4,
    }
    both, _ = made(by_outcome(per_problem=2), R1)
    assert ids(both) == [("p.0/r1/2", "p.0/r1/0"), ("p.0/r1/4", "p.0/r1/3")]
    turned = by_outcome(chosen_outcome="incorrect", rejected_outcome="correct")
    assert ids(made(turned, R1)[0]) == [("p.0/r1/0", "p.0/r1/2")]


def test_outcomes_may_be_asked_of_two_generators() -> None:
    strong, weak = toy("strong", {"p.0": ["i a", "c b"]}), toy("weak", {"p.0": ["c c", "i d"]})
    asked = pairing(chosen_outcome="correct", draw="first")
    pairs, _ = made(asked, strong, weak)
    assert ids(pairs) == [("p.0/strong/1", "p.0/weak/0")]
    assert pairs["recipe"].to_list() == ["strong correct > weak"]


@pytest.mark.parametrize(
    ("complete", "expected"),
    [
        ("any", [("p.0/strong/0", "p.0/weak/0"), ("p.1/strong/0", "p.1/weak/0")]),
        ("chosen", [("p.0/strong/1", "p.0/weak/0")]),
        ("both", [("p.0/strong/1", "p.0/weak/1")]),
    ],
)
def test_a_side_that_must_have_finished_never_draws_a_cut_trace(
    complete: str, expected: list[tuple[str, str]]
) -> None:
    strong = toy("strong", {"p.0": ["c- a", "c b"], "p.1": ["c- c"]})
    weak = toy("weak", {"p.0": ["c- d", "i e"], "p.1": ["c f"]})
    pairs, counts = made(pairing(draw="first", complete=complete), strong, weak)
    assert ids(pairs) == expected
    if complete == "any":
        assert counts["dropped"] == {"no trace of strong": 2}
        assert counts["chosen"]["qualifying"] == 3
    else:
        assert counts["dropped"] == {"no finished trace of strong": 3}
        assert counts["chosen"]["qualifying"] == 1
    assert counts["chosen"]["unfinished"] == 2


def test_a_trace_that_stopped_without_an_answer_has_not_finished() -> None:
    traces, verdicts = toy("strong", {"p.0": ["i a", "c b"]})
    unanswered = traces.with_columns(
        answer_start=pl.when(pl.col("sample") > 0).then(pl.col("answer_start"))
    )
    weak = toy("weak", {"p.0": ["c c"]})
    pairs, _ = made(pairing(draw="first", complete="chosen"), (unanswered, verdicts), weak)
    assert ids(pairs) == [("p.0/strong/1", "p.0/weak/0")]


def test_problems_are_sampled_by_seed_among_those_with_a_pair() -> None:
    some = {f"p.{n}": [f"c {n}"] for n in range(3)}
    sides = toy("strong", some), many("weak")
    pairs, counts = made(pairing(problems=2), *sides)
    assert counts["dropped"] == {"no trace of strong": 1, "not sampled": 1}
    assert (counts["problems"], counts["with_pairs"], counts["pairs"]) == (4, 2, 2)
    expected = sorted(some, key=lambda problem: shuffle_key(5, problem))[:2]
    assert set(pairs["problem_id"]) == set(expected)
    drawn = {tuple(made(pairing(problems=2, seed=n), *sides)[0]["problem_id"]) for n in range(20)}
    assert len(drawn) == 3
    with pytest.raises(InputError) as caught:
        made(pairing(problems=4), *sides)
    assert str(caught.value) == (
        "pairing.problems = 4: only 3 of 4 problems gave a pair ({'no trace of strong': 1}); "
        "allowed: 1 to 3, or null"
    )


def test_a_trace_without_a_verdict_is_an_error_that_names_it() -> None:
    traces, verdicts = many("strong")
    with pytest.raises(InputError, match=r"trace 'p\.0/strong/0' has no verdict, nor have 3"):
        made(pairing(), (traces, verdicts[4:]), many("weak"))


COMBINATIONS = [(a, b) for a in ("correct", "incorrect") for b in ("correct", "incorrect")]
FOUR = toy(
    "n4b",
    {
        "p.0": ["i a", "c b", "c cc", "u d", "i e", "c f"],  # correct 1, 2; incorrect 0, 4
        "p.1": ["i g", "c h", "c i", "i j"],
        "p.2": ["c k", "i l", "i m", "u n"],  # one correct
        "p.3": ["c o", "c o", "i p", "i q"],  # two correct that say the same are one
    },
)


def four_way(chosen: str, rejected: str, **changed: Any) -> PairingParams:
    outcomes = {"chosen_outcome": chosen, "rejected_outcome": rejected}
    return by_outcome(**outcomes, chosen="n4b", rejected="n4b", four_way=True, **changed)


def test_the_four_combinations_have_the_same_problems_and_differ_in_correctness_alone() -> None:
    sets = {outcomes: made(four_way(*outcomes), FOUR) for outcomes in COMBINATIONS}
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


def test_of_equal_texts_only_the_first_is_a_trace() -> None:
    same = toy("n4b", {"p.0": ["c a", "c a", "i d", "c b", "i d", "i e"]})
    pairs, _ = made(four_way("correct", "correct"), same)
    assert ids(pairs) == [("p.0/n4b/0", "p.0/n4b/3")]
    pairs, _ = made(four_way("incorrect", "incorrect"), same)
    assert ids(pairs) == [("p.0/n4b/2", "p.0/n4b/5")]


def test_the_sample_of_problems_is_the_same_in_all_four_sets() -> None:
    names = PROBLEMS["problem_id"]
    whole = toy("n4b", {p: [f"c {p}", f"c {p}.", f"i {p}:", f"i {p}!"] for p in names})
    for seed in range(5):
        drawn = {
            tuple(made(four_way(*outcomes, problems=2, seed=seed), whole)[0]["problem_id"])
            for outcomes in COMBINATIONS
        }
        assert len(drawn) == 1
    with pytest.raises(InputError, match=r"problems = 3: only 2 of 4 problems gave a pair"):
        made(four_way("correct", "incorrect", problems=3), FOUR)


def test_four_sets_of_different_problems_are_an_error_that_names_one() -> None:
    same = pl.DataFrame({"problem_id": ["p.0", "p.1"], "reason": [None, None]})
    sets = dict.fromkeys(("a", "b", "c"), same)
    _same_problems(sets | {"d": same})
    lost = pl.DataFrame({"problem_id": ["p.0", "p.1"], "reason": [None, "equal texts"]})
    with pytest.raises(InputError, match=r"'p\.1' is in the set a but not in all four"):
        _same_problems(sets | {"d": lost})


IMPOSSIBLE: dict[str, tuple[dict[str, Any], str]] = {
    "itself": ({"chosen": "weak"}, "both 'weak'; allowed: two different generators"),
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
def test_a_pairing_that_cannot_be_is_refused(case: str) -> None:
    changed, message = IMPOSSIBLE[case]
    with pytest.raises(ValueError, match="validation error") as caught:
        pairing(**changed)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"per_problem": 2}, "allowed then: per_problem 1"),
        ({"complete": "chosen"}, "allowed then: complete any or both"),
        ({"chosen_outcome": "any"}, "allowed then: outcomes correct or incorrect"),
    ],
)
def test_four_way_says_what_it_goes_with(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        by_outcome(**{"four_way": True} | changed)


def budget(drawn: int = 0, correct: int = 0, incorrect: int = 0) -> Budget:
    return Budget(drawn=drawn, correct=correct, incorrect=incorrect)


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
def test_what_a_pairing_needs_rated(params: PairingParams, expected: dict[str, Budget]) -> None:
    assert required_ratings(params) == expected


def rated(toy: Toy, of: Budget, draw: Any = "first", complete: Any = "any") -> list[str]:
    traces, verdicts = toy
    return within_budget(traces, verdicts, of, 5, draw, complete).collect()["trace_id"].to_list()


def test_a_budget_is_the_union_of_the_first_of_each_kind() -> None:
    one = toy("g", {"p.0": ["u a", "c- b", "c c", "i d", "i e"], "p.1": ["i f"]})

    def short(of: Budget, complete: str = "any") -> list[str]:
        return [name.replace("/g/", ".")[2:] for name in rated(one, of, complete=complete)]

    assert short(budget()) == []
    assert short(budget(1)) == ["0.0", "1.0"]
    assert short(budget(2)) == ["0.0", "0.1", "1.0"]
    assert short(budget(correct=1)) == ["0.1"]
    assert short(budget(correct=1), "both") == ["0.2"]
    assert short(budget(correct=1), "chosen") == ["0.1", "0.2"]
    assert short(budget(drawn=1, incorrect=1)) == ["0.0", "0.3", "1.0"]
    assert short(budget(9), "both") == ["0.0", "0.2", "0.3", "0.4", "1.0"]


def test_a_budget_rates_exactly_what_plain_pairs_use() -> None:
    sides = {"strong": many("strong"), "weak": many("weak")}
    for per_problem in (1, 2):
        params = pairing(per_problem=per_problem)
        pairs, _ = made(params, *sides.values())
        for side, name in (("chosen_id", "strong"), ("rejected_id", "weak")):
            assert sorted(pairs[side]) == sorted(rated(sides[name], budget(per_problem), "random"))


def test_a_budget_covers_a_need_key_by_key_or_by_rating_every_sample() -> None:
    assert is_sufficient(budget(2, 1, 1), budget(correct=1, incorrect=1), samples=8)
    assert not is_sufficient(budget(2, 1, 0), budget(correct=1, incorrect=1), samples=8)
    assert is_sufficient(budget(8), budget(correct=2, incorrect=2), samples=8)
    assert not is_sufficient(budget(7), budget(correct=2), samples=8)
    everything = Budget(drawn=None, correct=0, incorrect=0)
    assert is_sufficient(everything, everything, samples=None)
    assert is_sufficient(budget(8), everything, samples=8)
    assert not is_sufficient(budget(8), everything, samples=None)


words = st.tuples(st.sampled_from(["c", "i", "u", "c-", "i-", "u-"]), st.sampled_from("abcde"))
samples = st.lists(words.map(" ".join), max_size=6)
toys = st.fixed_dictionaries(dict.fromkeys(PROBLEMS["problem_id"], samples))
outcome = st.sampled_from(["any", "correct", "incorrect"])
pairings = st.fixed_dictionaries(
    {
        "chosen": st.sampled_from(["x", "y"]),
        "rejected": st.just("y"),
        "chosen_outcome": outcome,
        "rejected_outcome": outcome,
        "complete": st.sampled_from(["any", "chosen", "both"]),
        "draw": st.sampled_from(["random", "first"]),
        "per_problem": st.integers(1, 3),
        "four_way": st.booleans(),
    }
)


@settings(max_examples=80)
@given(pairings, toys, toys)
def test_every_pair_is_within_the_budget_it_needs_and_all_is_counted(
    drawn: dict[str, Any], x: dict[str, list[str]], y: dict[str, list[str]]
) -> None:
    if drawn["four_way"]:
        drawn |= {"chosen": "y", "per_problem": 1}
    try:
        params = pairing(**drawn)
    except ValueError:
        assume(False)
    sides = {"x": toy("x", x), "y": toy("y", y)}
    names = list(dict.fromkeys([params.chosen, params.rejected]))
    try:
        pairs, counts = made(params, *(sides[name] for name in names))
    except InputError as error:
        assert "none of 4 problems" in str(error)  # noqa: PT017 - or there were pairs
        return
    needs = required_ratings(params)
    for side, name in (("chosen_id", params.chosen), ("rejected_id", params.rejected)):
        inside = rated(sides[name], needs[name], params.draw, params.complete)
        assert set(pairs[side]) <= set(inside)
    assert (pairs["chosen_id"] != pairs["rejected_id"]).all()
    assert counts["problems"] == counts["with_pairs"] + sum(counts["dropped"].values())
    places = counts["with_pairs"] * params.per_problem
    assert places == counts["pairs"] + sum(counts["pairs_dropped"].values())
    assert sum(counts["outcomes"].values()) == counts["pairs"] == pairs.height

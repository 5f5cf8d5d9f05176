"""Pairs of all four combinations of correctness, on the same problems."""

from typing import Any

import pytest

from delta.core.errors import InputError
from tests.helpers.toy_pairs import PROBLEMS, by_outcome, four_way, ids, make_pairs, toy_traces

COMBINATIONS = [(a, b) for a in ("correct", "incorrect") for b in ("correct", "incorrect")]
FOUR = toy_traces(
    "n4b",
    {
        "p.0": ["i a", "c b", "c cc", "u d", "i e", "c f"],  # correct 1, 2; incorrect 0, 4
        "p.1": ["i g", "c h", "c i", "i j"],
        "p.2": ["c k", "i l", "i m", "u n"],  # one correct
        "p.3": ["c o", "c o", "i p", "i q"],  # two correct with equal texts count as one
    },
)


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
    same = toy_traces("n4b", {"p.0": ["c a", "c a", "i d", "c b", "i d", "i e"]})
    pairs, _ = make_pairs(four_way("correct", "correct"), same)
    assert ids(pairs) == [("p.0/n4b/0", "p.0/n4b/3")]
    pairs, _ = make_pairs(four_way("incorrect", "incorrect"), same)
    assert ids(pairs) == [("p.0/n4b/2", "p.0/n4b/5")]


def test_all_four_combinations_sample_the_same_problems() -> None:
    names = PROBLEMS["problem_id"]
    traces = toy_traces("n4b", {p: [f"c {p}", f"c {p}.", f"i {p}:", f"i {p}!"] for p in names})
    for seed in range(5):
        samples = {
            tuple(make_pairs(four_way(*outcomes, problems=2, seed=seed), traces)[0]["problem_id"])
            for outcomes in COMBINATIONS
        }
        assert len(samples) == 1
    with pytest.raises(InputError, match=r"problems = 3: only 2 of 4 problems gave a pair"):
        make_pairs(four_way("correct", "incorrect", problems=3), FOUR)


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

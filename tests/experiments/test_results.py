"""A result keeps the deltas of the pairs whose margins its training measured."""

import polars as pl

from delta.experiments.results import add_deltas

SELECTED = pl.DataFrame({"pair_id": ["a", "b", "c"], "score": [1.0, None, 3.0]})


def test_each_measured_pair_gets_its_delta() -> None:
    measured = {"pairs": 2, "pair_ids": ["c", "b"], "margins": [0.5, -0.5]}
    train = {"steps": 4, "policy_against_base": measured}
    assert add_deltas(train, SELECTED) == {
        "steps": 4,
        "policy_against_base": {"pairs": 2, "margins": [0.5, -0.5], "deltas": [3.0, None]},
    }


def test_a_training_that_was_not_measured_stays_as_it_is() -> None:
    for train in ({"steps": 4}, {"steps": 4, "policy_against_base": None}):
        assert add_deltas(train, SELECTED) == train

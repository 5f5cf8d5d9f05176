"""Numbers matched with the nearest available ones, and the distance of two distributions."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delta.pairing.length_matching import ks_distance, match_nearest

NEAREST: dict[str, tuple[list[float], list[float], list[int]]] = {
    "nothing": ([], [1, 2], []),
    "the nearest": ([4, 11], [0, 5, 10, 15], [1, 2]),
    "of two equally near the lower": ([5], [0, 10], [0]),
    "each once": ([5, 5, 5], [0, 4, 7, 20], [1, 2, 0]),
    "beyond both ends": ([-9, 99], [0, 5, 10], [0, 2]),
    "the rare ones first": ([60, 90], [0, 1, 2, 3, 50, 60], [4, 5]),
    "all of them": ([3, 1, 2], [1, 2, 3], [2, 0, 1]),
}


@pytest.mark.parametrize("case", NEAREST)
def test_numbers_are_matched_one_to_one(case: str) -> None:
    wanted, available, matches = NEAREST[case]
    assert match_nearest(wanted, available) == matches


numbers = st.lists(st.integers(-20, 20), max_size=12)


@settings(max_examples=100)
@given(numbers, numbers)
def test_each_index_is_matched_once_and_equal_numbers_match(
    wanted: list[int], more: list[int]
) -> None:
    available = sorted([*wanted, *more])
    matches = match_nearest(wanted, available)
    assert len(set(matches)) == len(wanted)
    assert [available[index] for index in matches] == wanted


def test_more_wanted_than_available_numbers_raise_value_error() -> None:
    with pytest.raises(ValueError, match="2 numbers cannot be matched with 1"):
        match_nearest([1, 2], [1])


@pytest.mark.parametrize(
    ("first", "second", "distance"),
    [
        ([1, 2, 3], [3, 2, 1], 0.0),
        ([1, 2], [3, 4], 1.0),
        ([1, 2, 3, 4], [3, 4, 5, 6], 0.5),
        ([1, 1, 1], [1, 2], 0.5),
    ],
)
def test_ks_distance_is_the_largest_gap_between_two_distributions(
    first: list[int], second: list[int], distance: float
) -> None:
    assert ks_distance(pl.Series(first), pl.Series(second)) == distance

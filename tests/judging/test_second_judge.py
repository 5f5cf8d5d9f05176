"""The second judge rates traces of some problems, the same ones for every generator."""

import polars as pl
import pytest

from delta.judging.second_judge import sample_problems

IDS = pl.Series("problem_id", [f"p{number}" for number in range(10)])


def test_without_a_number_all_problems_are_rated() -> None:
    assert sample_problems(pl.Series(["a", "b", "a"]), None, 5).to_list() == ["a", "b"]


@pytest.mark.parametrize("number", [1, 4, 10, 11])
def test_so_many_problems_are_drawn_whatever_their_order(number: int) -> None:
    drawn = sample_problems(IDS, number, 5).to_list()
    assert len(set(drawn)) == min(number, 10)
    assert sample_problems(IDS.reverse(), number, 5).to_list() == drawn
    assert sample_problems(pl.concat([IDS, IDS]), number, 5).to_list() == drawn


def test_more_problems_keep_the_others_and_another_seed_draws_others() -> None:
    four = sample_problems(IDS, 4, 5).to_list()
    assert sample_problems(IDS, 6, 5).to_list()[:4] == four
    assert sample_problems(IDS, 4, 6).to_list() != four

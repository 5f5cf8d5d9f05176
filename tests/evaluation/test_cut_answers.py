"""A score of which more than 5% of the answers were cut carries a mark; none cut is not unknown."""

from typing import Any

import pytest

from delta.check import check, model_uses
from delta.evaluation.cut_answers import (
    LEGEND,
    NOTES,
    cut_percent,
    describe,
    largest,
    mark,
    marked,
    notes,
)
from tests.helpers.import_closure import ROOT


def score(cut: int | None, n: int = 50, samples: int = 1) -> dict[str, Any]:
    return {"n": n, "samples": samples} | ({} if cut is None else {"truncated": cut})


@pytest.mark.parametrize(
    ("counts", "share", "symbol"),
    [
        (score(0), 0.0, ""),
        (score(1, n=20), 5.0, ""),  # exactly 5% is not more than 5%
        (score(3), 6.0, "†"),
        (score(26, n=30, samples=16), pytest.approx(5.4167), "†"),  # 26 of 480 answers
        (score(None), None, "‡"),
        ({"truncated": 3}, None, "‡"),  # of how many, is not known
    ],
)
def test_the_share_is_of_all_answers(
    counts: dict[str, Any], share: float | None, symbol: str
) -> None:
    assert cut_percent(counts) == share
    assert mark(cut_percent(counts)) == symbol


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ([1.0, 4.0], 4.0),
        ([1.0, 40.0, None], 40.0),  # the mark is due whatever the third is
        ([1.0, None], None),
        ([], None),
    ],
)
def test_several_scores_have_the_largest_share(
    shares: list[float | None], expected: float | None
) -> None:
    assert largest(shares) == expected


def test_only_the_marks_that_are_there_are_explained() -> None:
    assert notes([0.0, 5.0]) == []
    assert notes([0.0, 72.0, 80.0]) == [NOTES["†"]]
    assert notes([None, 72.0]) == [NOTES["†"], NOTES["‡"]]
    assert notes([72.0], LEGEND) == ["† over 5% of answers cut"]
    assert (marked("2.5%", 72.0), marked("2.5%", 5.0)) == ("2.5% †", "2.5%")


def test_the_console_names_the_benchmarks() -> None:
    assert describe({"sums": 5.0, "products": 0.0}) == ""
    shares = {"sums": 72.0, "products": 0.0, "aime": None}
    assert describe(shares) == "† cut at the token limit: sums 72%; ‡ cut answers not known: aime"


def test_the_paper_profile_leaves_its_models_their_context() -> None:
    params = check(ROOT / "profiles/paper.yaml")
    uses = [u for u in model_uses(params) if u.key.startswith(("generators.", "benchmarks."))]
    assert len(uses) >= len(params.generators)
    for use in uses:
        context = params.serving[use.model].max_model_len
        assert context == 32_768
        assert 2048 <= context - use.sampling.max_tokens <= 8192  # for the prompt

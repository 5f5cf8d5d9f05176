"""The line of the stage `select` has the mean delta, and the ties at the cut where there is one."""

import pytest

from delta.core.types import Counts
from delta.pairing.select import SelectorParams
from stages.select import describe

COUNTS: Counts = {
    "selected": 6,
    "pairs": 16,
    "mean_delta_selected": 4.0,
    "tied_at_cut": 8,
    "tied_and_selected": 6,
    "matching": {"ks_distance": 0.25},
}
TOP = "6 of 16 pairs, top by factuality, mean delta 4.00; 8 tie at the cut, 6 of them are in"
MATCHED = "6 of 16 pairs, length_matched by factuality, mean delta 4.00; KS distance of the lengths"


@pytest.mark.parametrize(
    ("mode", "k", "line"),
    [
        ("top", 6, TOP),
        ("length_matched", 6, f"{MATCHED} 0.25"),
        ("all", None, "6 of 16 pairs, all by factuality, mean delta 4.00"),
    ],
)
def test_each_mode_has_its_line(mode: str, k: int | None, line: str) -> None:
    content = {"mode": mode, "by": "factuality", "k": k, "quantile": None, "seed": 1}
    params = SelectorParams.model_validate(content)
    assert describe(params, COUNTS) == line


def test_pairs_without_a_delta_have_no_mean() -> None:
    params = SelectorParams(mode="random", by="factuality", k=6, quantile=None, seed=1)
    line = describe(params, COUNTS | {"mean_delta_selected": None})
    assert line == "6 of 16 pairs, random by factuality"

"""Simulated: 95% intervals cover the truth in 93 to 97 of 100 cases, and tests reject in 5."""

import pytest

from bench.coverage import Row, all_or_nothing, rows
from tests.helpers.import_closure import ROOT

# Conservative: so few questions differ between the runs, or have a correct answer at all,
# that their spread cannot be known; or all seeds are alike and the interval cannot know it.
TOO_WIDE = {
    ("avg@k", "5% of 30 avg@16"),
    ("avg@k", "5% of 40 avg@16"),
    ("avg@k", "90% of 30 avg@16"),
    ("avg@k", "90% of 40 avg@16"),
    ("difference", "2% of 40"),
    ("difference", "90% of 40"),
    ("difference", "2% of 200"),
    ("difference", "5% of 30 avg@16"),
    ("difference", "90% of 30 avg@16"),
    ("no difference", "2% of 40"),
    ("no difference", "90% of 40"),
    ("no difference", "2% of 200"),
    ("no difference", "5% of 30 avg@16"),
    ("no difference", "90% of 30 avg@16"),
    ("no difference", "5% of 40 avg@16"),
    ("no difference", "90% of 40 avg@16"),
    ("sets", "10% of 60, 5% of 60, 30% of 60"),
    ("seeds", "3 seeds (sd 0), 60% of 200, 40% of 40 avg@16"),
    ("seeds, difference", "2 × 3 seeds (sd 0), 60% of 200, 40% of 40 avg@16"),
    ("seeds, difference", "2 × 3 seeds (sd 0.3), 60% of 200, 40% of 40 avg@16"),
}
# Two seeds whose own scatter is more than that of 500 questions.
TOO_NARROW = {("seeds", "2 seeds (sd 0.3), 70% of 500")}


@pytest.mark.parametrize("rate", [0.1, 0.9])
@pytest.mark.parametrize("exception", [0.005, 0.02, 0.05])
def test_questions_that_are_nearly_all_or_nothing_are_covered(
    rate: float, exception: float
) -> None:
    assert 0.94 <= all_or_nothing(rate, 30, exception).covered <= 0.99


@pytest.fixture(scope="module")
def simulated_rows() -> dict[tuple[str, str], Row]:
    return {(row.kind, row.setting): row for row in rows()}


@pytest.mark.slow
def test_intervals_cover_the_truth_in_93_to_97_of_100_cases(
    simulated_rows: dict[tuple[str, str], Row],
) -> None:
    assert simulated_rows.keys() >= TOO_WIDE | TOO_NARROW
    below = {setting for setting, row in simulated_rows.items() if row.covered < 0.93}
    above = {
        setting
        for setting, row in simulated_rows.items()
        if row.covered > 0.97 and row.kind != "all or nothing"
    }
    assert below == TOO_NARROW
    assert above <= TOO_WIDE


@pytest.mark.slow
def test_without_a_difference_tests_reject_in_3_to_7_of_100_cases(
    simulated_rows: dict[tuple[str, str], Row],
) -> None:
    rejected = {
        setting: row.rejected for setting, row in simulated_rows.items() if row.rejected is not None
    }
    assert len(rejected) == 23
    assert {setting for setting, fraction in rejected.items() if fraction > 0.07} == set()
    assert {setting for setting, fraction in rejected.items() if fraction < 0.03} <= TOO_WIDE


@pytest.mark.slow
def test_the_docs_state_the_simulated_coverage(simulated_rows: dict[tuple[str, str], Row]) -> None:
    page = (ROOT / "docs/statistics.md").read_text(encoding="utf-8")
    ranges = {}
    for kind in ("pass@1", "group mean"):
        covered = [100 * row.covered for row in simulated_rows.values() if row.kind == kind]
        ranges[kind] = f"{min(covered):.1f} to {max(covered):.1f}%"
    assert f"cover {ranges['pass@1']} for pass@1 and {ranges['group mean']} for group" in page
    (few_seeds,) = TOO_NARROW
    assert f"its interval covers {simulated_rows[few_seeds].covered:.0%}" in page
    assert "(2% correct of 40), a test is conservative and never rejects" in page
    assert simulated_rows["no difference", "2% of 40"].rejected == 0

"""docs/gpu.md names every check of bench/gpu_smoke.py, and only files that exist."""

import re

from bench.gpu_checks.catalogue import CHECKS
from delta.plan import assumptions
from tests.helpers.import_closure import ROOT

PAGE = (ROOT / "docs" / "gpu.md").read_text(encoding="utf-8")
HEAD = ["assumption", "by source", "on a CPU", "on a GPU"]


def rows() -> list[list[str]]:
    """Return the cells of the table, its head first."""
    lines = PAGE.split("<!-- assumptions:")[1].split("\n")
    table = [line for line in lines if line.startswith("|") and not line.startswith("|---")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def test_every_assumption_was_checked_in_a_way_or_says_that_it_was_not() -> None:
    head, *assumptions = rows()
    assert head == HEAD
    assert len(assumptions) >= 25
    for cells in assumptions:
        assert len(cells) == len(HEAD), cells
        assert cells[0], cells
        assert cells[3], cells


def test_the_page_names_every_check_of_the_script_and_no_other() -> None:
    named = {name for cells in rows()[1:] for name in re.findall(r"`(\w+)`", cells[3])}
    assert named == set(CHECKS)


def test_a_cell_of_a_gpu_is_checks_or_a_dash() -> None:
    for cells in rows()[1:]:
        assert re.fullmatch(r"–|`\w+`(, `\w+`)*", cells[3]), cells


def test_the_files_that_the_page_names_exist() -> None:
    files = set(re.findall(r"`((?:tests|bench|profiles|requirements)/[\w./-]+)`", PAGE))
    files |= {f"docs/{link}" for link in re.findall(r"\]\(([\w./-]+)\)", PAGE)}
    assert len(files) > 15
    assert [name for name in sorted(files) if not (ROOT / name).exists()] == []


def test_the_page_names_every_assumption_of_a_plan_on_gpus() -> None:
    named = {name for cells in rows()[1:] for name in re.findall(r"`([A-Z0-9_]+)`", cells[0])}
    values = vars(assumptions).items()
    expected = {
        name
        for name, value in values
        if isinstance(value, assumptions.Assumption) and value.only_on == "GPU"
    }
    assert len(expected) >= 10
    assert named == expected

"""The docs' figures on published rows are those that bench/graders_on_real_rows.py prints."""

import pytest

from bench import graders_on_real_rows as bench
from tests.helpers.import_closure import ROOT

REAL = ROOT.parent / "shared" / "real"
PAGE = (ROOT / "docs/grading.md").read_text(encoding="utf-8")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not REAL.is_dir(), reason="needs ../shared/real"),
]


def cells(table: str) -> list[list[str]]:
    """Return the rows of a Markdown table without its head; fail on any other line."""
    lines = table.split("\n")
    assert all(line.startswith(("| ", "|-")) for line in lines)
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_every_gold_is_correct_by_its_own_solution_and_wrong_with_another_digit() -> None:
    table = bench.references_table(REAL)
    assert table in PAGE
    assert cells(table) == [
        ["MATH-500", "500", "500 / 0", "500", "500", "0"],
        ["GSM8K", "1,319", "0 / 1,319", "1,319", "1,319", "0"],
        ["Minerva", "272", "272 / 0", "272", "272", "0"],
        ["AIME 2024", "30", "30 / 0", "30", "29", "0"],
        ["AIME 2025", "30", "29 / 1", "30", "27", "0"],
    ]


def test_all_verdicts_on_gsm8ks_model_solutions_equal_the_stored_ones() -> None:
    assert cells(bench.models_table(REAL)) == [
        ["6b_finetuning", "1,319", "286", "286", "4", "0"],
        ["6b_verification", "1,319", "515", "515", "1", "0"],
        ["175b_finetuning", "1,319", "458", "458", "5", "0"],
        ["175b_verification", "1,319", "742", "742", "1", "0"],
    ]


def test_letters_differ_only_where_the_stored_one_is_a_guess_or_the_first_of_several() -> None:
    table = bench.letters_table(REAL)
    assert table in PAGE
    assert [row[1:] for row in cells(table)] == [
        ["10,956", "5,207", "5,207", "70"],
        ["694", "73", "0", "93"],
        ["353", "27", "0", "231"],
        ["18", "5", "0", "1293"],
        ["10", "5", "2", "840"],
        ["1", "0", "0", "6414"],
        ["12,032", "5,317", "5,209", ""],
    ]


def test_every_theorem_is_correct_in_four_forms_and_wrong_when_changed() -> None:
    assert cells(bench.theorems_table(REAL)) == [
        ["bool", "115", "112", "115", "115", "115 of 115"],
        ["float", "378", "360", "378", "378", "1,114 of 1,114"],
        ["integer", "216", "200", "216", "216", "648 of 648"],
        ["list of float", "12", "8", "12", "12", "36 of 36"],
        ["list of integer", "61", "51", "61", "61", "183 of 183"],
        ["option", "18", "16", "18", "18", "18 of 18"],
        ["all", "800", "747", "800", "800", "2,114 of 2,114"],
    ]

"""Pairs of every source, each with one known fault."""

import json
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from delta.certificate.certify import build_trials
from delta.certificate.config import CertifyParams
from delta.certificate.pairs import FaultPair, first_per_fault
from delta.certificate.sources import (
    PRMBENCH_DIMENSIONS,
    max_traces,
    planted_pairs,
    prmbench_pair,
    read_pairs,
    table_pair,
)
from delta.core import params
from delta.core.digests import sha256_of
from delta.core.errors import InputError
from delta.core.schemas import PROBLEM
from delta.core.tables import frame_of
from delta.solver.faults import DIMENSION_OF, FAULTS
from tests.helpers.import_closure import ROOT

PUBLISHED = ROOT.parent / "shared" / "real" / "prmbench_p1.zip"
STEPS = [[6, "+", 1, 7], [7, "+", 4, 11]]
NO_PROBLEMS = frame_of([], PROBLEM)
ARITHMETIC = {
    "kind": "expression",
    "seed": 1,
    "problems": 30,
    "options": {"terms": 4, "operators": "+-", "lowest": 1, "highest": 9},
}
ROW = {
    "original_question": "What is 1 + 2?",
    "original_process": ["1. Add.", "2. 1 + 2 = 3."],
    "modified_process": ["1. Add.", "2. 1 + 2 = 4."],
    "classification": "counterfactual",
}
TABLE_ROW = {"statement": "s", "clean": "right", "faulty": "wrong", "fault": "mine"}


def certify_params(sources: dict[str, Any], pairs: int = 8) -> CertifyParams:
    content = {"sources": sources, "pairs": pairs, "smallest_delta": 0.5, "seed": 1}
    return params.validate("certify", CertifyParams, content)


def file_source(path: Path) -> dict[str, Any]:
    return {"file": {"path": str(path), "sha256": sha256_of(path)}}


def test_each_fault_is_planted_once_in_a_worked_solution() -> None:
    pairs = list(planted_pairs("What is 6 + 1 + 4?", json.dumps({"steps": STEPS}), 1))
    assert [pair.fault for pair in pairs] == list(FAULTS)
    assert {pair.clean for pair in pairs} == {"6 + 1 = 7\n7 + 4 = 11\n\\boxed{11}"}
    assert all(pair.faulty != pair.clean for pair in pairs)
    assert all(pair.dimension == DIMENSION_OF[pair.fault] for pair in pairs)
    assert pairs == list(planted_pairs("What is 6 + 1 + 4?", json.dumps({"steps": STEPS}), 1))


def test_a_problem_without_known_steps_gives_no_pair() -> None:
    assert list(planted_pairs("Prove it.", "{}", 1)) == []


def test_problems_are_those_of_the_run_or_of_the_source() -> None:
    row = {
        "problem_id": "sums.0",
        "statement": "What is 6 + 1 + 4?",
        "prompt": "What is 6 + 1 + 4?",
        "history": [],
        "gold_answer": "11",
        "source": "sums",
        "domain": "sums",
        "metadata": json.dumps({"steps": STEPS}),
    }
    own = certify_params({"own": {"format": "planted", "arithmetic": None}})
    assert len(read_pairs(own, frame_of([row], PROBLEM))["own"]) == len(FAULTS)
    drawn = certify_params({"drawn": {"format": "planted", "arithmetic": ARITHMETIC}})
    pairs = read_pairs(drawn, NO_PROBLEMS)["drawn"]
    assert set(Counter(pair.fault for pair in pairs).values()) == {8}
    assert len({pair.problem for pair in pairs}) == 8  # the same problems for every fault


def test_steps_of_prmbench_are_lines_without_their_numbers() -> None:
    pair = prmbench_pair("row 0", ROW)
    assert (pair.fault, pair.dimension) == ("counterfactual", "factuality")
    assert (pair.clean, pair.faulty) == ("Add.\n1 + 2 = 3.", "Add.\n1 + 2 = 4.")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classification": "typo"}, r"row 0: classification = 'typo'; expected one of circular"),
        ({"original_process": "text"}, "row 0: original_process is str; expected a list of texts"),
        ({"original_question": ""}, "row 0: original_question = ''; expected a text"),
    ],
)
def test_a_row_that_is_not_as_published_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        prmbench_pair("row 0", ROW | change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"clean": None}, "row 3: clean = None; expected a text"),
        (
            {"dimension": "beauty"},
            "row 3: dimension = 'beauty'; expected null or one of factuality",
        ),
        ({"fault": "wrapped_lines"}, "is the name of a change that must not matter"),
    ],
)
def test_a_users_row_is_refused_with_its_column(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        table_pair("row 3", TABLE_ROW | change)


def test_a_users_table_is_read(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    rows = [TABLE_ROW, TABLE_ROW | {"statement": "t", "dimension": "factuality"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = {"format": "table", "data": file_source(path)}
    pairs = read_pairs(certify_params({"mine": source}), NO_PROBLEMS)["mine"]
    assert {(pair.statement, pair.dimension) for pair in pairs} == {
        ("s", None),
        ("t", "factuality"),
    }
    assert max_traces(certify_params({"mine": source})) is None


def test_so_many_pairs_are_taken_of_each_fault_from_the_same_problems() -> None:
    pairs = [
        FaultPair(f"p{number}", fault, None, "s", "clean", f"{fault} {number}")
        for number in range(9)
        for fault in ("one", "two")
    ]
    taken = first_per_fault(pairs, 4, seed=1)
    problems = {fault: [p.problem for p in taken if p.fault == fault] for fault in ("one", "two")}
    assert problems["one"] == problems["two"]
    assert len(problems["one"]) == 4
    assert first_per_fault(reversed(pairs), 4, seed=1) == taken
    assert first_per_fault(pairs, 4, seed=2) != taken


def test_a_plan_counts_at_least_the_traces_that_are_rated() -> None:
    drawn = certify_params({"drawn": {"format": "planted", "arithmetic": ARITHMETIC}})
    trials = build_trials("drawn", read_pairs(drawn, NO_PROBLEMS)["drawn"])
    # 8 problems: 7 faults, the clean trace, three changes and the reversed rubric each.
    assert max_traces(drawn) == 8 * (7 + 1 + 3 + 1)
    assert len(trials.inputs) + len(trials.changed) <= 8 * 12


@pytest.mark.skipif(not PUBLISHED.is_file(), reason="the published rows are not here")
def test_published_rows_are_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(PUBLISHED) as archive:
        archive.extractall(tmp_path)
    files = sorted(tmp_path.glob("*.jsonl"))
    assert len(files) == len(PRMBENCH_DIMENSIONS)
    data = {"file": {"path": str(tmp_path), "sha256": sha256_of(*files)}}
    source = {"format": "prmbench", "data": data}
    pairs = read_pairs(certify_params({"prm": source}, 100), pl.DataFrame())["prm"]
    assert len(pairs) == 718
    assert Counter(pair.fault for pair in pairs)["deception"] == 88
    assert all(pair.clean != pair.faulty for pair in pairs)

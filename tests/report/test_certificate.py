"""The certificate on the page, on the command line and on the cards."""

import argparse
from dataclasses import replace
from pathlib import Path

import pytest

from delta.cli import certify
from delta.core import paths
from delta.core.errors import InputError
from delta.core.files import write_counts
from delta.core.types import Counts
from delta.judging.rubric import DIMENSIONS
from delta.report.certificate import matrix_rows, noise_and_length_rows, verdict_rows
from tests.helpers.this_run import render_page
from tests.helpers.toy_results import toy_context

FALL = {"value": -0.25, "low": -0.5, "high": 0.0}
ALONE = {"value": 2.0, "low": None, "high": None}


def certificate() -> Counts:
    seen = {"source": "own", "verdict": "sees", "reason": "its own faults lower it", "pairs": 60}
    untried = {"source": None, "verdict": "cannot tell", "reason": "no pairs have a fault of it"}
    cell = {"source": "own", "kind": "fault", "name": "slip", "own_dimension": DIMENSIONS[0]}
    of_source = {"source": "own", "dimension": DIMENSIONS[0]}
    return {
        "rater": "rules",
        "smallest_delta": 0.5,
        "dimensions": dict.fromkeys(DIMENSIONS, untried)
        | {DIMENSIONS[0]: seen | {"above_changes": ALONE, "above_other_faults": FALL}},
        "matrix": [
            cell | {"dimension": name, "pairs": 59, "without_vote": 1, **FALL}
            for name in DIMENSIONS
        ],
        "length": [of_source | {"bias": "long", **FALL}],
        "noise": [of_source | {"traces": 9, "votes": None, "changes": 0.4, "floor": 0.4}],
    }


def test_a_dimension_has_its_verdict_and_the_falls_that_were_measured() -> None:
    first, second, *_ = verdict_rows(certificate())
    assert list(first["falls"].values()) == ["2.00", "−0.25 [−0.50, 0.00]", None]
    assert (first["verdict"], first["pairs"]) == ("sees", 60)
    assert (second["verdict"], second["pairs"]) == ("cannot tell", None)


def test_a_fault_has_a_cell_for_each_dimension_and_its_own_is_marked() -> None:
    (row,) = matrix_rows(certificate())
    assert (row["name"], row["source"], row["pairs"]) == ("slip", "own", 60)
    assert [name for name, cell in row["cells"].items() if cell["own"]] == [DIMENSIONS[0]]
    (noise,) = noise_and_length_rows(certificate())
    assert (noise["changes"], noise["bias"], noise["slope"]) == (0.4, "long", "−0.25 [−0.50, 0.00]")


def test_the_page_shows_the_certificate_of_each_rater(tmp_path: Path) -> None:
    both = {"judge": certificate(), "second": certificate() | {"rater": "other"}}
    page = render_page(replace(toy_context({"base": 10}), certificates=both), tmp_path)
    assert "The judge's certificate: rules" in page.replace("&#39;", "'")
    assert "The second judge's certificate: other" in page.replace("&#39;", "'")
    assert 'class="verdict sees"' in page
    assert "(1 without a vote)" in page


def test_the_command_prints_verdicts_and_says_how_to_get_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="no such file; run `dvc repro certify` first"):
        certify.main(argparse.Namespace())
    write_counts(paths.counts("certify"), {"judge": certificate()}, "certify")
    certify.main(argparse.Namespace())
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "judge (rules)"
    assert lines[1].split() == [DIMENSIONS[0], "sees", *["its", "own", "faults", "lower", "it"]]

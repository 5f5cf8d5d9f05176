"""The stage `analyze` and the command `rating-sheet` on two toy generators."""

import csv
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from delta.analysis.config import AnalysisParams
from delta.cli import rating_sheet
from delta.cli.command_line import parse
from delta.core import params, paths, tables
from delta.core.console import Console
from delta.core.errors import InputError
from delta.core.schemas import PAIR, PROBLEM, RATING, SELECTED, TRACE, VERDICT
from delta.judging.rubric import DIMENSIONS
from delta.pairing.select import SelectorParams, select
from stages import analyze

GENERATORS = ("strong", "weak")
SIX_ROWS = parse(rating_sheet, ["6", "1"])
SECTIONS: dict[str, Any] = {
    "generators": dict.fromkeys(GENERATORS),
    "selector": {"seed": 6},
    "analysis": {"k": [2, 4], "resamples": 20, "seed": 14, "human": None},
}


def generator_rows(name: str, votes: int) -> tuple[list[Any], list[Any], list[Any]]:
    """Return rows of eight problems with two traces each. The strong generator has higher votes."""
    base = 3 if name == "strong" else 1
    traces, verdicts, ratings = [], [], []
    for place in range(16):
        trace_id = f"p{place // 2}/{name}/{place % 2}"
        row = {
            "trace_id": trace_id,
            "problem_id": f"p{place // 2}",
            "generator": name,
            "text": f"{trace_id}.",
        }
        traces.append(row | {"reasoning_start": 0, "reasoning_end": 0, "answer_start": 0})
        outcome = "correct" if (place + base) % 3 else "incorrect"
        verdicts.append({"trace_id": trace_id, "outcome": outcome})
        for number, dimension in enumerate(DIMENSIONS):
            cast = [base + (place * (number + 2) + vote) % 3 for vote in range(votes)]
            row = {"trace_id": trace_id, "judge": "x", "dimension": dimension}
            ratings.append(row | {"votes": cast, "refused": 0})
    return traces, verdicts, ratings


def write_inputs(votes: int) -> None:
    """Write everything that `analyze` reads to the current folder."""
    all_ratings = []
    for name in GENERATORS:
        traces, verdicts, ratings = generator_rows(name, votes)
        tables.write(paths.traces(name), tables.frame_of(traces, TRACE), TRACE)
        tables.write(paths.verdicts(name), tables.frame_of(verdicts, VERDICT), VERDICT)
        tables.write(paths.ratings(name), tables.frame_of(ratings, RATING), RATING)
        tables.write(paths.second_ratings(name), tables.frame_of([], RATING), RATING)
        all_ratings += ratings
    problems = [{"problem_id": f"p{place}", "statement": f"Problem {place}?"} for place in range(8)]
    tables.write(paths.PROBLEMS, tables.frame_of(problems, PROBLEM), PROBLEM)
    pairs = [
        {
            "pair_id": f"pair {place}",
            "chosen_id": f"p{place}/strong/0",
            "rejected_id": f"p{place}/weak/0",
            "length_difference": place % 5,
            "chosen_outcome": "correct",
            "rejected_outcome": "correct",
        }
        for place in range(8)
    ]
    selector = SelectorParams(mode="all", by="mean", k=None, quantile=None, seed=6)
    table, _ = select(selector, tables.frame_of(pairs, PAIR), tables.frame_of(all_ratings, RATING))
    tables.write(paths.SELECTED, table, SELECTED)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(yaml.safe_dump(SECTIONS))
    return tmp_path


def run_stage() -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]]]:
    analyze.main(Console(io.StringIO()))
    result = json.loads(Path("data/counts/analyze.json").read_text())["analyze"]
    files = sorted(Path("data/analysis").glob("*.json"))
    return result, {path.stem: json.loads(path.read_text()) for path in files}


def test_every_file_is_written_and_counts_add_up(folder: Path) -> None:  # noqa: ARG001
    write_inputs(votes=3)
    result, rows = run_stage()
    assert list(rows) == [
        "correctness_auc",
        "delta_matrix",
        "human_deltas",
        "inter_rater",
        "judge_agreement",
        "length_correlation",
        "reliability",
        "topk_overlap",
        "topk_stability",
        "variance_components",
    ]
    dimensions = len(DIMENSIONS) + 1  # and their mean
    assert {name: len(content) for name, content in rows.items()} == {
        "judge_agreement": 0,
        "correctness_auc": 2 * dimensions,
        "inter_rater": dimensions,
        "topk_stability": 2 * dimensions,
        "delta_matrix": 2 * dimensions,
        "human_deltas": 0,
        "length_correlation": dimensions,
        "topk_overlap": 2 * 20,
        "reliability": 3 * dimensions,
        "variance_components": 15 * dimensions,
    }
    assert (result["traces"], result["traces_rated"], result["traces_not_rated"]) == (32, 32, 0)
    assert (result["votes"], result["votes_refused"]) == (32 * 5 * 3, 0)
    assert result["pairs"] == result["pairs_with_all_deltas"] + result["pairs_without"] == 8
    assert list(result["dimensions"]) == [*DIMENSIONS, "mean"]
    reliability = [row for row in rows["reliability"] if row["dimension"] == "mean"]
    assert result["dimensions"]["mean"]["reliability"] == reliability[-1]["predicted"]
    assert reliability[-1]["votes"] == 3


def test_the_rows_of_a_file_are_flat_and_have_the_same_columns(folder: Path) -> None:  # noqa: ARG001
    write_inputs(votes=3)
    for content in run_stage()[1].values():
        assert len({tuple(row) for row in content}) <= 1
        values = [value for row in content for value in row.values()]
        assert not any(isinstance(value, dict | list) for value in values)


def test_one_vote_a_trace_leaves_nulls_and_no_error(folder: Path) -> None:  # noqa: ARG001
    write_inputs(votes=1)
    result, rows = run_stage()
    assert result["dimensions"]["mean"]["alpha_ordinal"] is None
    assert result["dimensions"]["mean"]["auc"] is not None
    assert {row["why"] for row in rows["topk_stability"]} == {"every trace has one vote"}
    assert {row["why"] for row in rows["reliability"]} == {"every trace has one vote"}


def test_another_run_writes_the_same_bytes(folder: Path) -> None:  # noqa: ARG001
    write_inputs(votes=3)
    run_stage()
    before = {path: path.read_bytes() for path in Path("metrics").rglob("*.json")}
    run_stage()
    assert {path: path.read_bytes() for path in Path("metrics").rglob("*.json")} == before


def file_params(path: Path) -> dict[str, str]:
    return {"path": str(path), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def fill_in(source: Path, target: Path, score: int) -> dict[str, str]:
    """Fill in the sheet with `score` in every row but the first."""
    with source.open(newline="") as file:
        header, *lines = csv.reader(file)
    first, last = header.index(DIMENSIONS[0]), header.index(DIMENSIONS[-1]) + 1
    for place, line in enumerate(lines):
        line[first:last] = [str(score + place % 2) if place else ""] * len(DIMENSIONS)
    with target.open("w", newline="") as file:
        csv.writer(file).writerows([header, *lines])
    return file_params(target)


def test_people_rate_a_sheet_and_are_compared_with_the_judge_and_each_other(folder: Path) -> None:
    write_inputs(votes=3)
    console = Console(io.StringIO())
    rating_sheet.main(console, SIX_ROWS)
    empty, key = folder / "sheets/sheet-1.csv", folder / "sheets/sheet-1-key.csv"
    people = [fill_in(empty, folder / "anna.csv", 3), fill_in(empty, folder / "ben.csv", 4)]
    human = {"key": file_params(key), "sheets": people}
    analysis = SECTIONS["analysis"] | {"human": human}
    Path("params.yaml").write_text(yaml.safe_dump(SECTIONS | {"analysis": analysis}))
    result, rows = run_stage()
    assert (result["people"], result["sheet_rows"], result["of_other_texts"]) == (2, 12, 0)
    who = list(dict.fromkeys((row["first"], row["second"]) for row in rows["judge_agreement"]))
    assert who == [("judge", "anna.csv"), ("judge", "ben.csv"), ("anna.csv", "ben.csv")]
    last = rows["judge_agreement"][-1]
    assert (last["traces"], last["unrated"], last["exact"], last["mean_difference"]) == (5, 1, 0, 1)
    assert last["spearman"] == 1.0
    assert [row["traces"] for row in rows["inter_rater"] if row["raters"] == "people"] == [5] * 5


def test_a_sheet_is_never_overwritten(folder: Path) -> None:  # noqa: ARG001
    write_inputs(votes=1)
    rating_sheet.main(Console(io.StringIO()), SIX_ROWS)
    with pytest.raises(InputError, match=r"sheet-1.csv: this sheet exists"):
        rating_sheet.main(Console(io.StringIO()), SIX_ROWS)


@pytest.mark.parametrize("words", [[], ["6"], ["0", "1"], ["six", "1"], ["-1", "1"]])
def test_a_sheet_needs_two_numbers(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(rating_sheet, words)
    assert ended.value.code == 2
    assert "usage: python -m delta rating-sheet [-h] number seed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"k": []}, "analysis.k = "),
        ({"k": [0]}, "analysis.k.0 = 0"),
        ({"resamples": 1}, "analysis.resamples = 1"),
        ({"human": {"path": "x"}}, "analysis.human.path is not known; expected key, sheets"),
        ({"human": {"key": {"path": "x", "sha256": "1"}, "sheets": []}}, "sha256 = '1'"),
    ],
)
def test_an_impossible_section_is_an_error_in_one_line(
    changed: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        params.validate("analysis", AnalysisParams, SECTIONS["analysis"] | changed)

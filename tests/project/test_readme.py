"""The README says what the files say: its scores, its rater's figures, its commands."""

import itertools
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import yaml

from delta.report import figures
from delta.report import scores as report
from delta.report.claims import format
from tests.helpers.import_closure import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())
REAL = ROOT.parent / "shared" / "real" / "gsm8k_example_model_solutions.jsonl"


def after(marker: str) -> str:
    """The table that follows the comment which begins with `marker`."""
    lines = README.split(f"<!-- {marker}:")[1].split("\n")
    start = next(place for place, line in enumerate(lines) if line.startswith("|"))
    rows = itertools.takewhile(lambda line: line.startswith("|"), lines[start:])
    return "\n".join(rows)


def scores() -> report.Scores:
    models = {
        name: ROOT / f"metrics/evaluate/{name}.json" for name in PARAMS["evaluation"]["models"]
    }
    return report.read_scores(models, list(PARAMS["benchmarks"]))


BASE = "zero-shot"


def test_the_scores_on_the_first_screen_are_those_of_metrics() -> None:
    assert after("scores") == report.table(scores(), BASE, "policy")


def test_every_figure_of_the_benchmarks_is_one_that_make_bench_wrote() -> None:
    written = (ROOT / "bench/RESULTS.md").read_text(encoding="utf-8")
    shown = re.findall(r"\*\*([\d.]+)[^*]*\*\*", after("bench"))
    assert len(shown) > 10
    assert [figure for figure in shown if not re.search(rf"\b{re.escape(figure)}\b", written)] == []


def test_the_policy_is_better_on_an_easy_benchmark_and_worse_on_none() -> None:
    gained = report.score_differences(scores(), BASE, "policy")
    assert gained["products"]["intervals_apart"] == 1
    assert min(one["intervals_apart"] for one in gained.values()) == 0


def test_the_text_above_the_scores_names_the_k_and_the_dimension_of_the_params() -> None:
    selector = PARAMS["selector"]
    assert f"DPO on the {selector['k']} pairs" in README
    assert f"largest delta in {selector['by'].replace('_', ' ')}" in README


def test_the_picture_is_drawn_from_metrics(tmp_path: Path) -> None:
    figures.accuracy(report.accuracy_rows(scores()), tmp_path)
    drawn = (tmp_path / "accuracy.svg").read_text(encoding="utf-8")
    assert (ROOT / "docs/accuracy.svg").read_text(encoding="utf-8") == drawn


def test_the_claims_on_the_first_screen_are_rows_of_the_whole_table() -> None:
    whole = (ROOT / "docs/claims.md").read_text(encoding="utf-8").split("\n")
    rows = after("claims").split("\n")
    assert len(rows) > 10
    assert [row for row in whole if row in rows] == rows  # in the same order


def test_the_whole_table_of_claims_and_the_page_are_of_the_committed_run() -> None:
    counted = json.loads((ROOT / "metrics/claims.json").read_text())["claims_that"]
    rows = (ROOT / "docs/claims.md").read_text(encoding="utf-8").split("\n")
    verdicts = Counter(row.rsplit("| ", 1)[1].strip(" |") for row in rows if row.endswith(" |"))
    page = (ROOT / "docs/index.html").read_text(encoding="utf-8")
    for verdict, symbol in format.SYMBOLS.items():
        assert verdicts[f"{symbol} {verdict}"] == counted[verdict.replace(" ", "_")]
    assert page.count("<svg") >= 5
    assert PARAMS["profile"] in page


def test_every_make_target_in_the_readme_is_one() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"(?:^|`)make ([a-z-]+)", README, re.MULTILINE))
    assert {"repro", "test", "setup"} <= targets
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_file(), reason="the real rows are not here")
def test_the_raters_figures_are_those_that_the_bench_prints() -> None:
    command = [sys.executable, "-m", "bench.rules_on_gsm8k", str(REAL)]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for marker in ("rater", "held-out"):
        assert len(after(marker).split("\n")) == 2 + 6
        assert after(marker) in printed

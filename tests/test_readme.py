"""The README says what the files say: its scores, its rater's figures, its commands."""

import itertools
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from delta import figures, report
from tests.closure import ROOT

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
    models, benchmarks = PARAMS["evaluation"]["models"], PARAMS["benchmarks"]
    return report.read_scores(
        {(m, b): ROOT / f"metrics/evaluate/{m}-{b}.json" for m in models for b in benchmarks}
    )


def test_the_scores_on_the_first_screen_are_those_of_metrics() -> None:
    assert after("scores") == report.table(scores(), PARAMS["train"]["base"], "policy")


def test_the_policy_is_better_on_the_easy_benchmark_with_intervals_apart() -> None:
    easy = [name for name, one in PARAMS["benchmarks"].items() if one["group"] == "easy"]
    gained = report.gains(scores(), PARAMS["train"]["base"], "policy")
    assert [gained[name]["intervals_apart"] for name in easy] == [1] * len(easy)


def test_the_text_above_the_scores_names_the_k_and_the_dimension_of_the_params() -> None:
    selector = PARAMS["selector"]
    assert f"DPO on the {selector['k']} pairs" in README
    assert f"largest delta in {selector['dimension'].replace('_', ' ')}" in README


def test_the_picture_is_drawn_from_metrics(tmp_path: Path) -> None:
    figures.accuracy(report.accuracy_rows(scores()), tmp_path)
    drawn = (tmp_path / "accuracy.svg").read_text(encoding="utf-8")
    assert (ROOT / "docs/accuracy.svg").read_text(encoding="utf-8") == drawn


def test_every_module_of_delta_stands_in_the_tree() -> None:
    tree = README.split("## The tree")[1].split("## ")[0]
    modules = {path.stem for path in (ROOT / "delta").rglob("*.py")} - {"__init__"}
    steps = {"fetch", "problems", "generate", "verify", "judge", "pair", "select", "train"}
    steps |= {"evaluate"}  # named in the road, as stages
    assert {name for name in modules - steps if not re.search(rf"\b{name}\b", tree)} == set()


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

"""README and docs say what the files say: scores, figures, commands, paths."""

import itertools
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import yaml

from delta.__main__ import COMMANDS
from delta.report import scores as report
from delta.report.claims import format
from delta.report.figures import policy
from tests.helpers.import_closure import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())
REAL = ROOT.parent / "shared" / "real" / "gsm8k_example_model_solutions.jsonl"


def table_after(marker: str) -> str:
    """Return the table that follows the comment which begins with `marker`, in any page."""
    (page,) = [text for text in map(read, PAGES) if f"<!-- {marker}:" in text]
    lines = page.split(f"<!-- {marker}:")[1].split("\n")
    start = next(place for place, line in enumerate(lines) if line.startswith("|"))
    rows = itertools.takewhile(lambda line: line.startswith("|"), lines[start:])
    return "\n".join(rows)


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def scores() -> report.Scores:
    by_model: report.Scores = {name: {} for name in PARAMS["evaluation"]["models"]}
    for row in json.loads(read(ROOT / "metrics/summary.json"))["scores"]:
        by_model[row["model"]][row["benchmark"]] = row
    return by_model


BASE = "zero-shot"


def test_the_scores_on_the_first_screen_are_those_of_metrics() -> None:
    assert table_after("scores") == report.to_markdown(scores(), BASE, "policy")


def test_every_figure_of_the_benchmarks_is_one_that_make_bench_wrote() -> None:
    written = (ROOT / "bench/RESULTS.md").read_text(encoding="utf-8")
    shown = re.findall(r"\*\*([\d.]+)[^*]*\*\*", table_after("bench"))
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
    policy.accuracy(report.accuracy_rows(scores()), tmp_path)
    drawn = (tmp_path / "accuracy.svg").read_text(encoding="utf-8")
    assert (ROOT / "docs/results/accuracy.svg").read_text(encoding="utf-8") == drawn


def test_the_readme_counts_the_claims_as_the_metrics_do() -> None:
    counts = json.loads((ROOT / "docs/results/claims.json").read_text())["claims_that"]
    holds, fails, unclear, missing = (
        int(number)
        for number in re.findall(
            r"claims, (\d+) hold here, (\d+) do not hold, (\d+) cannot be [^.]*, and (\d+) was",
            README,
        )[0]
    )
    expected = {"holds": holds, "does_not_hold": fails, "cannot_tell": unclear, "not_run": missing}
    assert counts == expected
    assert f"the paper's {sum(expected.values())} claims" in README


def test_the_whole_table_of_claims_and_the_page_are_of_the_committed_run() -> None:
    counted = json.loads((ROOT / "docs/results/claims.json").read_text())["claims_that"]
    rows = (ROOT / "docs/results/claims.md").read_text(encoding="utf-8").split("\n")
    verdicts = Counter(row.rsplit("| ", 1)[1].strip(" |") for row in rows if row.endswith(" |"))
    page = (ROOT / "docs/results/index.html").read_text(encoding="utf-8")
    for verdict, symbol in format.SYMBOLS.items():
        assert verdicts[f"{symbol} {verdict}"] == counted[verdict.replace(" ", "_")]
    assert page.count("<svg") >= 5
    assert PARAMS["profile"] in page


def commands() -> list[tuple[str, str]]:
    """Return every command of a shell block, with the name of its page."""
    return [
        (page.name, line.split("#")[0].strip())
        for page in PAGES
        for block in re.findall(r"```sh\n(.*?)```", read(page), re.DOTALL)
        for line in block.split("\n")
        if re.match(r"(make|dvc|python -m) ", line)
    ]


def test_every_command_in_the_docs_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert len(commands()) > 20
    for page, command in commands():
        program, *arguments = command.removeprefix("python -m ").split()
        if program == "make":
            assert arguments[0] in targets, (page, command)
        elif program == "delta":
            assert arguments[0] in {*COMMANDS, "--help"}, (page, command)
        elif program.startswith(("stages.", "bench.", "tests.")):
            assert (ROOT / f"{program.replace('.', '/')}.py").is_file(), (page, command)


def test_every_link_and_path_in_the_docs_exists() -> None:
    for page in PAGES:
        text = read(page)
        for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
            if "://" not in link and not link.startswith("mailto:"):
                assert (page.parent / link).exists(), (page.name, link)
        if page.name == "lab-notebook.md":  # names files of its time
            continue
        for path in re.findall(
            r"`((?:delta|stages|tests|docs|bench|profiles|launch)/[\w./-]*)`", text
        ):
            assert (ROOT / path).exists(), (page.name, path)


def test_the_readme_is_short_and_names_every_room() -> None:
    assert len(README.split("\n")) <= 180
    rooms = re.findall(r"^\| `(\w+)/` \|", README, re.MULTILINE)
    folders = sorted(path.parent.name for path in (ROOT / "delta").glob("*/__init__.py"))
    assert sorted(rooms) == folders


@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_file(), reason="the real rows are not here")
def test_the_raters_figures_are_those_that_the_bench_prints() -> None:
    command = [sys.executable, "-m", "bench.rules_on_gsm8k", str(REAL)]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for marker in ("rater", "held-out"):
        assert len(table_after(marker).split("\n")) == 2 + 6
        assert table_after(marker) in printed

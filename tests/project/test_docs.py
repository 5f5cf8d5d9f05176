"""README and docs agree with the files: scores, figures, commands, parameters, paths."""

import ast
import itertools
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import numpy as np
import pytest
import yaml
from pydantic import BaseModel

from bench import power
from delta.__main__ import COMMANDS
from delta.check import Params
from delta.report import this_run
from delta.report.claims import formatting
from delta.report.claims.rules import ClaimVerdict
from delta.report.figures import accuracy
from tests.helpers.example_pairs import viewer_data
from tests.helpers.import_closure import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())
RUNS = [json.loads(path.read_text()) for path in (ROOT / "metrics/runs").glob("*.json")]
NOTEBOOK = "lab-notebook.md"  # names files, stages and parameters of its time
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


SUMMARY = json.loads(read(ROOT / "metrics/summary.json"))


def test_the_scores_of_the_readme_are_those_of_metrics() -> None:
    comparisons = this_run.read_comparisons(SUMMARY["comparisons"])
    printed = this_run.to_markdown(comparisons)
    assert printed.split("\n\n")[0] == table_after("scores")
    assert f"\n{printed}\n\n" in README  # with the line that explains its marks
    (run,) = SUMMARY["run"]
    assert f"\n> {run['sentence']}\n" in read(ROOT / "README.md")


def test_every_number_of_docs_benchmarks_is_in_bench_results() -> None:
    results_text = (ROOT / "bench/RESULTS.md").read_text(encoding="utf-8")
    numbers = re.findall(r"\*\*([\d.]+)[^*]*\*\*", table_after("bench"))
    assert len(numbers) > 10
    assert [n for n in numbers if not re.search(rf"\b{re.escape(n)}\b", results_text)] == []


def test_what_the_paper_profile_can_see_is_computed_from_its_sizes() -> None:
    printed = power.to_markdown(power.rows())
    assert table_after("power") == printed


def test_the_mean_time_of_an_experiment_is_that_of_the_results() -> None:
    times = [run["seconds"] for run in RUNS if run["seconds"] is not None]
    claim = "no run of today's profile is in `metrics/runs/` yet"
    if times:
        mean = f"{np.mean(times):.0f} s each on average, and there are {len(RUNS)}"
        claim = f"the {len(times)} timed runs in `metrics/runs/` took {mean}"
    assert claim in read(ROOT / "docs/benchmarks.md")


def test_the_readme_counts_all_pairs_and_those_of_the_top_sets() -> None:
    pairs = len(viewer_data(ROOT / "docs/results", "index")["columns"]["deltas"])
    sizes = list(PARAMS["experiments"]["figure-4"]["vary"]["k"])
    assert f"[the {pairs} pairs](docs/results/pairs/index.html)" in README
    assert f"({' and '.join(sizes)} of {pairs} pairs)" in README
    selections = [run["counts"]["select"] for run in RUNS if run["name"].startswith("figure-4-")]
    assert {counts["pairs"] for counts in selections} <= {pairs}
    assert {str(counts["selected"]) for counts in selections} <= set(sizes)


def test_the_base_is_what_the_readme_says() -> None:
    (run,) = SUMMARY["run"]
    assert run["base"] == PARAMS["train"]["base"] == "warm"
    base = {row["name"]: row["base"] for row in SUMMARY["measures"]}  # percent
    assert "it boxes nearly every answer and is right about half the time" in README
    assert base["asked_form"] > 95
    assert 40 < base["correct"] < 60


def test_the_readme_counts_the_worked_solutions_of_the_base() -> None:
    number, name = 0, PARAMS["train"]["base"]
    while name in PARAMS["sft_models"]:
        model = PARAMS["sft_models"][name]
        number += sum(source["arithmetic"]["problems"] for source in model["problems"].values())
        name = model["base"]
    assert f"of {number} worked solutions" in README


def test_the_text_above_the_scores_names_the_k_and_the_dimension_of_the_params() -> None:
    selector = PARAMS["selector"]
    assert selector["mode"] == "top"
    assert f"with DPO on the {selector['k']} pairs" in README
    assert f"![What {selector['k']} pairs taught the base" in README
    assert f"largest delta in {selector['by'].replace('_', ' ')}" in README


def test_the_figure_is_drawn_from_metrics(tmp_path: Path) -> None:
    accuracy.draw(this_run.read_score_list(SUMMARY["scores"]), PARAMS["train"]["base"], tmp_path)
    figure = (tmp_path / "accuracy.svg").read_text(encoding="utf-8")
    assert (ROOT / "docs/results/accuracy.svg").read_text(encoding="utf-8") == figure


def test_the_readme_counts_the_claims_as_the_metrics_do() -> None:
    counts = claim_counts()
    counted = ", ".join(f"{counts[name]} {words}" for name, words in formatting.COUNTED.items())
    assert f"Of the paper's {sum(counts.values())} claims, {counted}." in README


def claim_counts() -> dict[ClaimVerdict, int]:
    """Return how many claims of docs/results have each verdict."""
    counts = json.loads((ROOT / "docs/results/claims.json").read_text())["claims_that"]
    return {verdict: counts.get(verdict.replace(" ", "_"), 0) for verdict in formatting.COUNTED}


def test_the_claims_and_the_page_in_docs_are_of_the_same_run() -> None:
    table = (ROOT / "docs/results/claims.md").read_text(encoding="utf-8")
    cells = Counter(cell.strip() for row in table.split("\n") for cell in row.split(" |"))
    page = (ROOT / "docs/results/index.html").read_text(encoding="utf-8")
    for verdict, number in claim_counts().items():
        assert cells[f"{formatting.SYMBOLS[verdict]} {verdict}"] == number
    assert page.count("<svg") >= 5
    assert PARAMS["profile"] in page


def commands(*pages: Path) -> list[tuple[str, str]]:
    """Return every command of a shell block, with the name of its page."""
    return [
        (page.name, line.split(" #")[0].strip())
        for page in pages or PAGES
        for block in re.findall(r"```sh\n(.*?)```", read(page), re.DOTALL)
        for line in block.split("\n")
        if re.match(r"(make|dvc|python -m) ", line)
    ]


def test_every_benchmark_has_help() -> None:
    programs = [
        path for path in (ROOT / "bench").glob("*.py") if 'if __name__ == "__main__"' in read(path)
    ]
    assert len(programs) > 10
    parser = "results.argument_parser(__doc__)"
    assert [path.name for path in programs if parser not in read(path)] == []


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


PYTHON_M = ("python", "-m")
# Commands of the README and the file that runs each, by a test or in CI.
RUN_BY = {
    "make repro": "tests/end_to_end/test_make.py",
    "make setup ACCELERATOR=gpu": "tests/project/test_setup.py",
    "make experiment NAME=figure-1": "tests/end_to_end/test_all_figures.py",
    "make plan": "tests/end_to_end/test_make.py",
    "make view-pairs": "tests/end_to_end/test_make.py",
    "make export": "tests/end_to_end/test_make.py",
    "make test": ".ci/run",
    "dvc repro": "tests/end_to_end/test_laptop.py",
    "dvc exp run -S selector.k=": "tests/end_to_end/test_dvc_repro.py",
    "dvc exp show --only-changed --drop /": "tests/end_to_end/test_dvc_repro.py",
    "dvc metrics diff": "tests/end_to_end/test_dvc_repro.py",
    "python -m delta compare policy": "tests/end_to_end/test_all_figures.py",
    "python -m delta results figure-1": "tests/end_to_end/test_all_figures.py",
    "python -m delta --help": "tests/cli/test_help.py",
}


def commands_run_by(path: Path) -> list[list[str]]:
    """Return the words of the commands that a script has as lines, or that a test file calls.

    Calls are `….make("plan")`, `….dvc("repro")` and `run("python", "-m", …)`, "python -m" left out.
    """
    if path.suffix != ".py":
        return [line.split() for line in read(path).split("\n")]
    found = []
    for node in ast.walk(ast.parse(read(path))):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", None))
            words = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
            if name in ("make", "dvc", "run"):
                program = [] if name == "run" else [name]
                found.append([*program, *(str(word) for word in words if word not in PYTHON_M)])
    return found


def is_run(command: str, path: Path) -> bool:
    """Return whether `path` runs the command, perhaps with other options between its words."""
    words = [word for word in command.split() if word not in PYTHON_M]
    for found in commands_run_by(path):
        left = iter(found)
        if words[0] in found[:1] and all(any(w.startswith(word) for w in left) for word in words):
            return True
    return False


def test_a_command_whose_call_is_gone_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "test_toy.py"
    path.write_text(
        '"""make plan"""\nspace.make("repro")\nspace.dvc("exp", "--name", "x", "run")\n'
    )
    assert is_run("make repro", path)
    assert is_run("dvc exp run", path)
    assert not is_run("make plan", path)


def test_every_command_of_the_readme_is_run_by_a_test_or_in_ci() -> None:
    # A value, and the base by its name in this profile, may be others in the test.
    own = re.compile(rf"(-S [\w.]+=).*|( compare policy) {PARAMS['train']['base']}$")
    documented = {own.sub(r"\1\2", command) for _, command in commands(PAGES[0])}
    assert documented == RUN_BY.keys()
    assert [command for command, name in RUN_BY.items() if not is_run(command, ROOT / name)] == []


def parts(annotation: Any) -> Iterator[Any]:
    """Yield the members of a union and the type inside `Annotated`, else the type itself."""
    if hasattr(annotation, "__value__"):  # a type alias
        yield from parts(annotation.__value__)
    elif hasattr(annotation, "__metadata__"):
        yield from parts(annotation.__origin__)
    elif get_args(annotation) and get_origin(annotation) not in (dict, list, tuple):
        for member in get_args(annotation):
            yield from parts(member)
    else:
        yield annotation


def has_key(annotation: Any, keys: list[str]) -> bool:
    """Return whether a section of this type can hold `keys`; NAME and * stand for any key."""
    if not keys:
        return True
    key, *rest = keys
    for kind in parts(annotation):
        if get_origin(kind) is dict:
            if has_key(get_args(kind)[1], rest):
                return True
        elif isinstance(kind, type) and issubclass(kind, BaseModel):
            for name, field in kind.model_fields.items():
                is_any = key.isupper() or key == "*"
                if (is_any or key == name) and has_key(field.annotation, rest):
                    return True
    return False


def parameters(page: Path) -> list[str]:
    """Return every `section.key` in backticks whose first part is a section of params.yaml."""
    names = re.findall(r"`([a-z_]+(?:\.[\w*-]+)+)(?:: [^`]*)?`", read(page))
    return [name for name in names if name.split(".")[0] in Params.model_fields]


def test_an_unknown_parameter_is_noticed() -> None:
    assert has_key(Params, ["serving", "MODEL", "server", "accepts"])
    assert has_key(Params, ["selector", "k"])
    assert not has_key(Params, ["selector", "top"])
    assert not has_key(Params, ["serving", "MODEL", "server", "url"])


def test_every_parameter_in_the_docs_exists() -> None:
    named = {name for page in PAGES for name in parameters(page) if page.name != NOTEBOOK}
    assert len(named) > 30
    assert sorted(name for name in named if not has_key(Params, name.split("."))) == []


def test_the_changelog_names_parameters_that_exist() -> None:
    rows = re.findall(r"^  \| `[a-z].* \| (.*) \|$", read(ROOT / "CHANGELOG.md"), re.MULTILINE)
    names = [name for row in rows for name in re.findall(r"`([a-z_]+[.\w*]*)(?:: \S+)?`", row)]
    keys = [name for name in names if name.split(".")[0] in Params.model_fields]
    assert len(keys) > 30
    assert [key for key in keys if not has_key(Params, key.split("."))] == []


def test_the_docs_name_the_only_file_of_metrics() -> None:
    graph = yaml.safe_load(read(ROOT / "dvc.yaml"))["stages"].values()
    metrics = [entry for stage in graph for entry in stage.get("do", stage).get("metrics", [])]
    (name,) = {next(iter(entry)) for entry in metrics}
    for page in PAGES:
        if page.name != NOTEBOOK:
            assert set(re.findall(r"\bmetrics/\w+\.\w+", read(page))) <= {name}, page.name


def test_every_link_and_path_in_the_docs_exists() -> None:
    for page in PAGES:
        text = read(page)
        for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
            if "://" not in link and not link.startswith("mailto:"):
                assert (page.parent / link).exists(), (page.name, link)
        if page.name == NOTEBOOK:
            continue
        for path in re.findall(
            r"`((?:delta|stages|tests|docs|bench|profiles|launch)/[\w./-]*)`", text
        ):
            assert "NAME" in path or (ROOT / path).exists(), (page.name, path)
        for name in re.findall(r"`(test_\w+\.py)`", text):
            assert len(list((ROOT / "tests").rglob(name))) == 1, (page.name, name)


def test_a_paragraph_is_one_line() -> None:
    for page in [*PAGES, ROOT / "CHANGELOG.md"]:
        prose = re.sub(r"```.*?```", "", read(page), flags=re.DOTALL).split("\n")
        for line, following in itertools.pairwise(prose):
            is_text = re.match(r"[A-Za-z*`\[(]", following.lstrip()) is not None
            assert not (line and is_text and not line.startswith(("#", "<!--"))), (page.name, line)


def test_the_readme_is_short_and_names_every_room() -> None:
    assert len(README.split("\n")) <= 180
    rooms = re.findall(r"^\| `(\w+)/` \|", README, re.MULTILINE)
    folders = sorted(path.parent.name for path in (ROOT / "delta").glob("*/__init__.py"))
    assert sorted(rooms) == folders


@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_file(), reason="the real rows are not here")
def test_the_numbers_of_the_rule_judge_are_those_of_the_benchmark() -> None:
    command = [sys.executable, "-m", "bench.rules_on_gsm8k", str(REAL)]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for marker in ("rater", "held-out"):
        assert len(table_after(marker).split("\n")) == 2 + 6
        assert table_after(marker) in printed

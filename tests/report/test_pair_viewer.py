"""The folder of the page of pairs: what lies in it, and that nothing in it can run by itself."""

import base64
import gzip
import hashlib
import io
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import delta.cli.view_pairs
from delta.core.console import Console
from delta.core.errors import InputError
from delta.core.schemas import TRACE
from delta.core.tables import frame_of
from delta.core.types import Counts
from delta.report import pair_viewer
from delta.report.pair_viewer import page
from tests.helpers.example_pairs import RUN, ExamplePairs, example_pairs, trace_row, write_workspace

PAGE = Path(page.__file__).parent / "page"
TEXTS = [("a", "bb"), ("ccc", "dddd"), ("e", "f")]


def built(folder: Path, run: ExamplePairs) -> Counts:
    return pair_viewer.write(folder / "pairs", RUN, *run)


def content(folder: Path, name: str) -> Any:
    """What a data file hands over."""
    text = (folder / "pairs" / "data" / f"{name}.js").read_text()
    match = re.fullmatch(rf'receive\("{name}","([A-Za-z0-9+/=]*)"\);\n', text)
    assert match, text[:80]
    return json.loads(gzip.decompress(base64.b64decode(match[1])))


def test_every_pair_is_in_the_index_and_says_why_it_is_out(tmp_path: Path) -> None:
    counts = built(tmp_path, example_pairs(TEXTS, cut=1))
    assert (counts["pairs"], counts["selected"], counts["traces"]) == (3, 2, 6)
    index = content(tmp_path, "index")
    assert index["columns"]["why"] == ["selected", "selected", "below the cut"]
    assert index["columns"]["deltas"] == [[-1.0, 0.0], [0.0, 0.0], [1.0, 0.0]]
    assert index["columns"]["chosen_length"] == [1, 3, 1]
    assert index["columns"]["rejected_length"] == [2, 4, 1]
    assert index["about"]["summary"] == "2 of 3 pairs are selected: top by factuality."


def test_no_two_scripts_of_the_page_name_a_function_alike() -> None:
    """They share one scope: the second would take the place of the first without a word."""
    names = Counter(
        name
        for script in page.SCRIPTS
        for name in re.findall(r"^(?:async )?function (\w+)", (PAGE / script).read_text(), re.M)
    )
    assert [name for name, times in names.items() if times > 1] == []


def test_the_index_says_where_each_trace_lies(tmp_path: Path) -> None:
    built(tmp_path, example_pairs(TEXTS))
    columns = content(tmp_path, "index")["columns"]
    file, number = columns["rejected_at"][1]
    found = content(tmp_path, str(file))[number]
    assert found["parts"] == [["answer", "dddd"]]
    assert found["verdict"] == {
        "outcome": "ungradable",
        "extracted": None,
        "reason": "no_box",
        "decided_by": "grader",
    }
    assert [one["dimension"] for one in found["ratings"]] == ["factuality", "step_coherence"]
    assert found["ratings"][0]["votes"] == [4, 5, 3]


def test_traces_of_no_pair_are_not_in_the_page(tmp_path: Path) -> None:
    built(tmp_path, example_pairs(TEXTS))
    shown = [piece for one in content(tmp_path, "0") for _, piece in one["parts"]]
    assert sorted(shown) == ["a", "bb", "ccc", "dddd", "e", "f"]


def test_a_trace_of_two_pairs_is_stored_once(tmp_path: Path) -> None:
    run = example_pairs(TEXTS[:2])
    shared = run.selected.with_columns(chosen_id=pl.lit("p.0/strong/0"))
    assert built(tmp_path, run._replace(selected=shared))["traces"] == 3


def test_long_traces_are_spread_over_files(tmp_path: Path) -> None:
    built(tmp_path, example_pairs([("x" * 300_000, "y" * 300_000), ("z", "v")]))
    columns = content(tmp_path, "index")["columns"]
    assert columns["chosen_at"] == [[0, 0], [0, 1]]
    assert columns["rejected_at"] == [[0, 2], [1, 0]]  # the first file is full after 600,001


def test_of_a_trace_of_50_mb_the_page_shows_the_ends_and_says_so(tmp_path: Path) -> None:
    text = "first " + "x" * 50_000_000 + " last"
    counts = built(tmp_path, example_pairs([(text, "b"), ("z", "v")]))
    assert counts["bytes"] < 1_000_000
    columns = content(tmp_path, "index")["columns"]
    assert columns["chosen_length"] == [50_000_011, 1]
    file, number = columns["chosen_at"][0]
    ((kind, shown),) = content(tmp_path, str(file))[number]["parts"]
    assert kind == "answer"
    assert shown.startswith("first xxx")
    assert shown.endswith("xxx last")
    assert "[49,500,011 characters are left out here: this page shows 500,000 of a text" in shown
    assert len(shown) < 501_000


def test_the_parts_of_a_trace_are_its_whole_text() -> None:
    row = trace_row("p", "g", 0, "<think>\na é\n</think>\n\nb")
    row |= {"reasoning_start": 8, "reasoning_end": 11, "answer_start": 22}
    assert pair_viewer.parts(row) == [
        ("marker", "<think>\n"),
        ("reasoning", "a é"),
        ("marker", "\n</think>\n\n"),
        ("answer", "b"),
    ]
    row |= {"text": "<think>\nabc", "reasoning_end": 11, "answer_start": None}
    assert pair_viewer.parts(row) == [("marker", "<think>\n"), ("reasoning", "abc")]


def test_a_trace_that_is_missing_is_an_error_and_the_old_page_stays(tmp_path: Path) -> None:
    run = example_pairs(TEXTS)
    built(tmp_path, run)
    before = (tmp_path / "pairs" / "data" / "index.js").read_bytes()
    with pytest.raises(InputError, match=r"trace 'p\.0/weak/0' of a pair is missing"):
        built(tmp_path, run._replace(traces=[run.traces[0], frame_of([], TRACE).lazy()]))
    assert (tmp_path / "pairs" / "data" / "index.js").read_bytes() == before


def test_a_problem_that_is_missing_is_an_error(tmp_path: Path) -> None:
    run = example_pairs(TEXTS)
    with pytest.raises(InputError, match=r"problem 'p\.0' of a pair is missing"):
        built(tmp_path, run._replace(problems=run.problems.slice(1)))


def test_a_pair_without_ratings_has_no_delta(tmp_path: Path) -> None:
    run = example_pairs(TEXTS)
    bare = run.selected.drop("delta_factuality", "delta_step_coherence").with_columns(
        score=pl.lit(None, dtype=pl.Float64)
    )
    built(tmp_path, run._replace(selected=bare, ratings=run.ratings.clear()))
    index = content(tmp_path, "index")
    assert index["about"]["dimensions"] == []
    assert index["columns"]["deltas"] == [[], [], []]
    assert content(tmp_path, "0")[0]["ratings"] == []


def test_the_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "other"):
        built(tmp_path / name, example_pairs(TEXTS))
    one, other = (tmp_path / name / "pairs" for name in ("one", "other"))
    for path in one.rglob("*.*"):
        assert path.read_bytes() == (other / path.relative_to(one)).read_bytes()


def test_no_script_makes_markup_or_code_of_text() -> None:
    forbidden = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|srcdoc|createContextualFragment"
        r"|\beval\b|new Function|setTimeout\(\s*[\"'`]|\bfetch\(|XMLHttpRequest|localStorage|https?://(?!www\.w3\.org)"
    )
    for path in sorted(PAGE.iterdir()):
        assert not forbidden.search(path.read_text()), path.name


def test_scripts_are_short_and_cannot_end_their_own_element() -> None:
    assert {path.name for path in PAGE.glob("*.js")} == set(page.SCRIPTS)
    for name in page.SCRIPTS:
        script = (PAGE / name).read_text()
        assert len(script.splitlines()) < 400
        assert "</script" not in script.lower()
        assert "<!--" not in script


def test_the_policy_allows_the_page_s_own_scripts_and_nothing_else() -> None:
    html = page.html()
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html)
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["require-trusted-types-for"] == "'script'"
    scripts = re.findall(r"<script>(.*?)</script>", html, flags=re.DOTALL)
    assert len(scripts) == len(page.SCRIPTS)
    digests = [base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() for one in scripts]
    assert rules["script-src"] == " ".join(
        ["'strict-dynamic'", *(f"'sha256-{d}'" for d in digests)]
    )
    assert "unsafe" not in policy
    assert not re.search(r"\son\w+=|\sstyle=", html.split("<script>")[0].split("</style>")[1])


def test_the_command_reads_a_run_and_says_what_to_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_workspace(tmp_path, example_pairs(TEXTS, cut=1))
    monkeypatch.chdir(tmp_path)
    screen = io.StringIO()
    delta.cli.view_pairs.main(Console(screen), [])
    assert "3 pairs, 2 of them selected" in screen.getvalue()
    assert "open report/pairs/index.html in a browser" in screen.getvalue()
    assert (tmp_path / "report" / "pairs" / "index.html").is_file()

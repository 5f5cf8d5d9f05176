"""The files of the pair viewer: their content, and that no text in them can run."""

import io
from pathlib import Path

import polars as pl
import pytest

import stages.viewer
from delta.core.console import Console
from delta.core.errors import InputError
from delta.core.schemas import TRACE
from delta.core.tables import frame_of
from delta.core.types import Counts
from delta.report.viewer import pair_page
from tests.helpers.example_answers import write_answer_tables
from tests.helpers.example_pairs import (
    RUN,
    ExamplePairs,
    example_pairs,
    trace_row,
    viewer_data,
    write_workspace,
)

TEXTS = [("a", "bb"), ("ccc", "dddd"), ("e", "f")]


def build(folder: Path, run: ExamplePairs) -> Counts:
    return pair_page.write(folder / "pairs", RUN, *run)


def test_the_index_has_every_pair_and_why_it_is_not_selected(tmp_path: Path) -> None:
    counts = build(tmp_path, example_pairs(TEXTS, cut=1))
    assert (counts["pairs"], counts["selected"], counts["traces"]) == (3, 2, 6)
    index = viewer_data(tmp_path, "index")
    assert index["columns"]["why"] == ["selected", "selected", "below the cut"]
    assert index["columns"]["deltas"] == [[-1.0, 0.0], [0.0, 0.0], [1.0, 0.0]]
    assert index["columns"]["chosen_length"] == [1, 3, 1]
    assert index["columns"]["rejected_length"] == [2, 4, 1]
    assert index["about"]["summary"] == "2 of 3 pairs are selected: top by factuality."


def test_the_index_locates_each_trace(tmp_path: Path) -> None:
    build(tmp_path, example_pairs(TEXTS))
    columns = viewer_data(tmp_path, "index")["columns"]
    file, place = columns["rejected_at"][1]
    trace = viewer_data(tmp_path, str(file))[place]
    assert trace["parts"] == [["answer", "dddd"]]
    assert trace["verdict"] == {
        "outcome": "ungradable",
        "extracted": None,
        "reason": "no_box",
        "decided_by": "grader",
    }
    ratings = trace["ratings"]
    assert [rating["dimension"] for rating in ratings] == ["factuality", "step_coherence"]
    assert ratings[0]["votes"] == [4, 5, 3]


def test_traces_without_a_pair_are_left_out(tmp_path: Path) -> None:
    build(tmp_path, example_pairs(TEXTS))
    texts = [text for trace in viewer_data(tmp_path, "0") for _, text in trace["parts"]]
    assert sorted(texts) == ["a", "bb", "ccc", "dddd", "e", "f"]


def test_a_trace_in_two_pairs_is_stored_once(tmp_path: Path) -> None:
    run = example_pairs(TEXTS[:2])
    same_chosen = run.selected.with_columns(chosen_id=pl.lit("p.0/strong/0"))
    assert build(tmp_path, run._replace(selected=same_chosen))["traces"] == 3


def test_long_traces_are_divided_among_files(tmp_path: Path) -> None:
    build(tmp_path, example_pairs([("x" * 300_000, "y" * 300_000), ("z", "v")]))
    columns = viewer_data(tmp_path, "index")["columns"]
    assert columns["chosen_at"] == [[0, 0], [0, 1]]
    assert columns["rejected_at"] == [[0, 2], [1, 0]]  # the first file is full after 600,001


def test_a_trace_of_50_mb_is_truncated_in_the_middle_with_a_note(tmp_path: Path) -> None:
    text = "first " + "x" * 50_000_000 + " last"
    counts = build(tmp_path, example_pairs([(text, "b"), ("z", "v")]))
    assert counts["bytes"] < 1_000_000
    columns = viewer_data(tmp_path, "index")["columns"]
    assert columns["chosen_length"] == [50_000_011, 1]
    file, place = columns["chosen_at"][0]
    ((kind, part),) = viewer_data(tmp_path, str(file))[place]["parts"]
    assert kind == "answer"
    assert part.startswith("first xxx")
    assert part.endswith("xxx last")
    assert "[49,500,011 characters are left out here: this page shows 500,000 of a text" in part
    assert len(part) < 501_000


def test_the_parts_of_a_trace_make_up_its_whole_text() -> None:
    row = trace_row("p", "g", 0, "<think>\na é\n</think>\n\nb")
    row |= {"reasoning_start": 8, "reasoning_end": 11, "answer_start": 22}
    assert pair_page.split_parts(row) == [
        ("marker", "<think>\n"),
        ("reasoning", "a é"),
        ("marker", "\n</think>\n\n"),
        ("answer", "b"),
    ]
    row |= {"text": "<think>\nabc", "reasoning_end": 11, "answer_start": None}
    assert pair_page.split_parts(row) == [("marker", "<think>\n"), ("reasoning", "abc")]


def test_a_missing_trace_is_an_error_and_the_old_page_stays(tmp_path: Path) -> None:
    run = example_pairs(TEXTS)
    build(tmp_path, run)
    before = (tmp_path / "pairs" / "data" / "index.js").read_bytes()
    with pytest.raises(InputError, match=r"trace 'p\.0/weak/0' of a pair is missing"):
        build(tmp_path, run._replace(traces=[run.traces[0], frame_of([], TRACE).lazy()]))
    assert (tmp_path / "pairs" / "data" / "index.js").read_bytes() == before


def test_a_missing_problem_is_an_error(tmp_path: Path) -> None:
    run = example_pairs(TEXTS)
    with pytest.raises(InputError, match=r"problem 'p\.0' of a pair is missing"):
        build(tmp_path, run._replace(problems=run.problems.slice(1)))


def test_a_pair_without_ratings_has_no_delta(tmp_path: Path) -> None:
    run = example_pairs(TEXTS)
    without_deltas = run.selected.drop("delta_factuality", "delta_step_coherence").with_columns(
        score=pl.lit(None, dtype=pl.Float64)
    )
    build(tmp_path, run._replace(selected=without_deltas, ratings=run.ratings.clear()))
    index = viewer_data(tmp_path, "index")
    assert index["about"]["dimensions"] == []
    assert index["columns"]["deltas"] == [[], [], []]
    assert viewer_data(tmp_path, "0")[0]["ratings"] == []


def test_the_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("first", "second"):
        build(tmp_path / name, example_pairs(TEXTS))
    first, second = (tmp_path / name / "pairs" for name in ("first", "second"))
    files = {path.relative_to(first) for path in first.rglob("*.*")}
    assert files == {path.relative_to(second) for path in second.rglob("*.*")}
    assert Path("index.html") in files
    for file in files:
        assert (first / file).read_bytes() == (second / file).read_bytes()


def test_the_stage_writes_both_pages_and_prints_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_workspace(tmp_path, example_pairs(TEXTS, cut=1))
    write_answer_tables(tmp_path, ["x"], ["no"], ["yes"])
    monkeypatch.chdir(tmp_path)
    screen = io.StringIO()
    stages.viewer.main(Console(screen, "viewer"))
    line = "viewer: 3 pairs, 2 of them selected; 3 questions, 3 gained and 0 lost\n"
    assert screen.getvalue() == line
    assert (tmp_path / "report" / "pairs" / "index.html").is_file()
    assert (tmp_path / "report" / "answers" / "index.html").is_file()
    with pytest.raises(InputError, match="pages: expected pairs, answers or nothing"):
        stages.viewer.main(Console(screen), "pages")

"""Recorded traces are fetched as a model, in batches, with the ids of the problems they answer."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from delta.core import tables
from delta.core.errors import InputError
from delta.core.fingerprint import read_fingerprint
from delta.core.schemas import RECORDING
from delta.data import recorded_traces
from delta.data.fetch import ModelParams, RecordingSource
from delta.data.openr1 import OpenR1Problems, OpenR1Traces
from delta.data.user_tables import TableProblems
from tests.helpers.import_closure import ROOT
from tests.helpers.model_folders import fetch_error, fetch_toy
from tests.helpers.openr1_rows import ROWS, write_source
from tests.helpers.user_tables import (
    build_from_sources,
    recording_params,
    turns_of,
    write_table,
)

REAL = ROOT.parent / "shared" / "real" / "gsm8k_example_model_solutions.jsonl"


def fetch_recording(params: ModelParams, folder: Path) -> pl.DataFrame:
    fetch_toy(params, folder)
    return tables.read(folder / "recording.parquet", RECORDING)


def read_rows_and_counts(
    problems: pl.DataFrame, folder: Path, most: int
) -> tuple[pl.DataFrame, dict[str, Any]]:
    rows, counts = recorded_traces.read_recording(problems, folder, most)
    return pl.concat(rows), counts


def recording_error(params: ModelParams, folder: Path) -> str:
    message = fetch_error(params, folder)
    assert not folder.exists()
    return message


def test_deepseek_r1s_traces_have_the_ids_of_openr1s_problems(tmp_path: Path) -> None:
    data = write_source(tmp_path / "rows.parquet", ROWS)
    problems = build_from_sources(
        r1={"openr1": OpenR1Problems(data=data, llama_verdicts=True, require_complete="none")}
    )
    traces = OpenR1Traces(data=data, llama_verdicts=True)
    params = ModelParams(recording=RecordingSource(source="r1", openr1=traces))
    everything = fetch_recording(params, tmp_path / "models" / "deepseek-r1")
    assert everything.height == 20  # two rows of twelve have lists that differ
    rows, counts = read_rows_and_counts(problems, tmp_path / "models" / "deepseek-r1", 8)
    assert rows.select("problem_id", "sample", "outcome").rows() == [
        ("r1.0", 0, "correct"),
        ("r1.0", 1, "incorrect"),
        ("r1.1", 0, "correct"),
        ("r1.1", 1, "incorrect"),
        ("r1.8", 0, "correct"),
        ("r1.8", 1, "incorrect"),
        ("r1.9", 0, "correct"),
        ("r1.9", 1, "incorrect"),
        ("r1.11", 0, "correct"),
        ("r1.11", 1, "incorrect"),
    ]
    assert rows["finish_reason"].to_list()[4:8] == ["stop", "length", "length", "stop"]
    assert problems["problem_id"].to_list() == ["r1.0", "r1.1", "r1.8", "r1.9", "r1.11"]
    assert counts["problems_without_a_trace"] == 0
    for text, answer in zip(rows["text"][::2], problems["gold_answer"], strict=True):
        assert answer in text


def test_a_preference_file_becomes_two_recordings_of_the_same_problems(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"prompt": "One?", "chosen": "good 1", "rejected": "bad 1"},
        {"prompt": "Two?", "chosen": "good 2", "rejected": ""},
        {"prompt": "One?", "chosen": None, "rejected": "bad 3"},
        {"prompt": "One?", "chosen": "good 4", "rejected": "bad 4"},
    ]
    data = write_table(tmp_path / "pairs.jsonl", rows)
    sides = {}
    for side in ("chosen", "rejected"):
        params = recording_params(data, statement="prompt", text=side)
        sides[side] = (
            fetch_recording(params, tmp_path / side).select("problem_id", "sample", "text").rows()
        )
    # The two texts of one row have the same sample number, even after rows with a missing text.
    assert sides == {
        "chosen": [("mine.0", 0, "good 1"), ("mine.1", 0, "good 2"), ("mine.0", 2, "good 4")],
        "rejected": [("mine.0", 0, "bad 1"), ("mine.0", 1, "bad 3"), ("mine.0", 2, "bad 4")],
    }
    problems = build_from_sources(
        mine={"table": TableProblems(data=data, statement="prompt", gold_answer=None)}
    )
    assert problems["problem_id"].to_list() == ["mine.0", "mine.1"]
    rows_, counts = read_rows_and_counts(problems, tmp_path / "rejected", 8)
    assert rows_["text"].to_list() == ["bad 1", "bad 3", "bad 4"]
    assert counts == counts | {
        "problems": 2,
        "problems_without_a_trace": 1,
        "recorded": 3,
        "over_the_limit": 0,
        "traces": 3,
    }
    card = json.loads((tmp_path / "rejected" / "recording.json").read_text())
    assert card["left_out"] == {"no_text": 1}
    assert card["problems_of"] == "mine"


@pytest.mark.parametrize("name", ["pairs.jsonl", "pairs.parquet"])
@pytest.mark.parametrize("statement", ["prompt", "chosen"])
def test_chat_messages_give_the_last_turn_of_the_assistant(
    tmp_path: Path, name: str, statement: str
) -> None:
    # TRL's format with a prompt, and the one where both sides begin with the prompt.
    rows = [
        {"prompt": turns_of("user: One?"), "chosen": turns_of("user: One?", "assistant: good 1")},
        {
            "prompt": turns_of("user: Hm", "assistant: So?", "user: Two?"),
            "chosen": turns_of("user: Hm", "assistant: So?", "user: Two?", "assistant: good 2"),
        },
        {"prompt": turns_of("user: Three?"), "chosen": turns_of("user: Three?")},
    ]
    data = write_table(tmp_path / name, rows)
    traces = fetch_recording(
        recording_params(data, statement=statement, text="chosen"), tmp_path / "toy"
    )
    assert traces.select("problem_id", "sample", "text").rows() == [
        ("mine.0", 0, "good 1"),
        ("mine.1", 0, "good 2"),
    ]


def test_a_file_of_problem_trace_model_is_a_recording_for_each_model(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"q": "One?", "t": "a says 1", "model": "a", "right": True},
        {"q": "One?", "t": "b says 1", "model": "b", "right": "incorrect"},
        {"q": "Two?", "t": "b says 2", "model": "b", "right": None},
        {"q": "One?", "t": "a says 3", "model": "a", "right": False},
        {"q": "Two?", "t": "a says 4", "model": "a", "right": "ungradable"},
    ]
    data = write_table(tmp_path / "traces.jsonl", rows)
    recordings = {
        model: fetch_recording(
            recording_params(data, outcome="right", where={"model": model}),
            tmp_path / f"mine-{model}",
        )
        for model in "ab"
    }
    assert recordings["a"].select("problem_id", "sample", "text", "outcome").rows() == [
        ("mine.0", 0, "a says 1", "correct"),
        ("mine.0", 1, "a says 3", "incorrect"),
        ("mine.2", 0, "a says 4", "ungradable"),
    ]
    # The first row of the second problem is b's: both models' traces have its index.
    assert recordings["b"].select("problem_id", "sample", "outcome").rows() == [
        ("mine.0", 0, "incorrect"),
        ("mine.2", 0, None),
    ]
    assert recordings["a"]["finish_reason"].to_list() == ["stop"] * 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"text": "trace"}, "row 0 has no column 'trace'; it has q, t, n, o"),
        ({"statement": "n"}, "row 0: n = 7; expected a text, or messages with role and content"),
        ({"text": "n"}, "row 0: t: n = 7"),
        ({"outcome": "o"}, "row 0: o = 'fine'; expected true, false, null, correct, incorrect, un"),
        ({"where": {"n": 8}}, ".where = {'n': 8}: no row is like that; there are n: 7"),
    ],
)
def test_a_table_that_is_not_as_declared_is_a_one_line_error_and_leaves_nothing(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    data = write_table(tmp_path / "t.jsonl", [{"q": "One?", "t": "x", "n": 7, "o": "fine"}])
    error = recording_error(recording_params(data, **changes), tmp_path / "models" / "toy")
    assert error.startswith("models.toy.recording.table")
    assert message.replace("row 0: t: n", "row 0: n") in error


def test_a_recording_without_any_trace_is_refused(tmp_path: Path) -> None:
    data = write_table(tmp_path / "t.jsonl", [{"q": "One?", "t": ""}, {"q": None, "t": "x"}])
    message = recording_error(recording_params(data), tmp_path / "models" / "toy")
    assert message.endswith("holds no trace; left out: {'no_text': 1, 'no_statement': 1}")


def test_a_recording_of_an_empty_file_is_refused(tmp_path: Path) -> None:
    data = write_table(tmp_path / "t.jsonl", [])
    message = recording_error(recording_params(data), tmp_path / "models" / "toy")
    assert message == "models.toy.recording.table.data: holds no row; expected one or more"


@pytest.mark.parametrize("kinds", [[], ["openr1", "table"]])
def test_a_recording_is_of_exactly_one_kind(tmp_path: Path, kinds: list[str]) -> None:
    data = write_table(tmp_path / "t.jsonl", [{"q": "One?"}])
    table = {"data": data, "statement": "q", "text": "t", "outcome": None, "where": {}}
    every: dict[str, Any] = {"openr1": OpenR1Traces(data=data, llama_verdicts=True), "table": table}
    with pytest.raises(ValidationError, match="expected exactly one of openr1, table"):
        RecordingSource(source="r1", **{kind: every[kind] for kind in kinds})


def test_a_recording_is_a_model_folder_with_its_own_fingerprint(tmp_path: Path) -> None:
    data = write_table(tmp_path / "t.jsonl", [{"q": "One?", "t": "x"}])
    folder = tmp_path / "models" / "toy"
    fingerprint = fetch_toy(recording_params(data), folder)
    assert sorted(path.name for path in folder.iterdir()) == [
        "fingerprint.json",
        "recording.json",
        "recording.parquet",
    ]
    assert read_fingerprint(folder) == fingerprint
    assert data.file is not None
    card = json.loads((folder / "fingerprint.json").read_text())
    assert card["source"] == f"sha256:{data.file.sha256}"
    assert fetch_toy(recording_params(data), folder) == fingerprint


def toy_traces(number: int) -> list[dict[str, Any]]:
    return [
        {
            "problem_id": f"p.{index // 4}",
            "sample": index % 4,
            "text": f"text {index}",
            "finish_reason": "stop",
            "outcome": None,
            "source_row": index,
        }
        for index in range(number)
    ]


def test_traces_are_written_in_batches_while_they_are_read(tmp_path: Path) -> None:
    behind = []

    def rows() -> Any:
        for number, row in enumerate(toy_traces(5_000)):
            if number % 1_000 == 0:
                behind.append((tmp_path / "recording.parquet").stat().st_size)
            yield row

    counts = recorded_traces.write_recording(tmp_path, rows(), {}, lambda _: None)
    assert counts == counts | {"traces": 5_000, "problems": 1_250, "left_out": {}}
    file = pq.ParquetFile(tmp_path / "recording.parquet")
    assert [file.metadata.row_group(group).num_rows for group in range(5)] == [1_000] * 5
    assert behind == sorted(set(behind))  # the file had grown each time before more was read


@pytest.mark.parametrize(
    ("most", "samples"), [(1, [0, 0]), (2, [0, 1, 0, 1]), (9, [0, 1, 2, 3, 0, 1, 2, 3])]
)
def test_rows_are_limited_per_problem_in_order_of_problems_and_samples(
    tmp_path: Path, most: int, samples: list[int]
) -> None:
    recorded_traces.write_recording(tmp_path, reversed(toy_traces(40)), {}, lambda _: None)
    problems = pl.DataFrame({"problem_id": ["p.7", "p.77", "p.2"]})
    rows, counts = read_rows_and_counts(problems, tmp_path, most)
    assert rows["sample"].to_list() == samples
    assert rows["problem_id"].unique(maintain_order=True).to_list() == ["p.7", "p.2"]
    assert rows.schema == RECORDING.columns
    assert counts == counts | {
        "problems": 3,
        "problems_without_a_trace": 1,
        "recorded": 8,
        "over_the_limit": 8 - len(samples),
        "traces": len(samples),
    }


@pytest.mark.parametrize("order", ["file's", "reversed", "by sample", "shuffled"])
@pytest.mark.parametrize("most", [1, 3, 9])
def test_rows_come_in_parts_for_every_order_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: str, most: int
) -> None:
    monkeypatch.setattr(tables, "TEXT_ROWS", 5)
    rows = toy_traces(80)  # four of each of 20 problems
    by: dict[str, Callable[[Any], Any]] = {
        "file's": lambda _: 0,
        "reversed": lambda row: -int(row["text"].split()[1]),
        "by sample": lambda row: row["sample"],
        "shuffled": lambda row: row["text"][::-1],
    }
    recorded_traces.write_recording(tmp_path, sorted(rows, key=by[order]), {}, lambda _: None)
    problems = pl.DataFrame({"problem_id": [f"p.{number}" for number in (3, 4, 0, 11, 12, 19)]})
    parts, counts = recorded_traces.read_recording(problems, tmp_path, most)
    frames = list(parts)
    assert (len(frames) == 1) == (order in ("by sample", "shuffled") and most > 1)
    expected = [
        rows[4 * number + sample] for number in (3, 4, 0, 11, 12, 19) for sample in range(4)[:most]
    ]
    assert pl.concat(frames).to_dicts() == expected
    assert counts["traces"] == len(expected)


def test_a_recording_of_other_problems_is_refused(tmp_path: Path) -> None:
    recorded_traces.write_recording(tmp_path, toy_traces(4), {}, lambda _: None)
    with pytest.raises(InputError, match="holds no trace of the 1 problems"):
        recorded_traces.read_recording(pl.DataFrame({"problem_id": ["r1.0"]}), tmp_path, 8)


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.99])
def test_a_damaged_recording_is_an_error_with_its_name(tmp_path: Path, kept: float) -> None:
    recorded_traces.write_recording(tmp_path, toy_traces(4), {}, lambda _: None)
    file = tmp_path / "recording.parquet"
    content = file.read_bytes()
    file.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(InputError, match="cannot be read as Parquet"):
        recorded_traces.read_recording(pl.DataFrame({"problem_id": ["p.0"]}), tmp_path, 8)


def test_damage_in_a_recordings_texts_is_an_error_with_its_name(tmp_path: Path) -> None:
    recorded_traces.write_recording(tmp_path, toy_traces(400), {}, lambda _: None)
    file = tmp_path / "recording.parquet"
    group = pq.ParquetFile(file).metadata.row_group(0)
    text = group.column(list(RECORDING.columns).index("text"))
    content = bytearray(file.read_bytes())
    start = text.dictionary_page_offset or text.data_page_offset
    for place in range(start + 50, start + text.total_compressed_size):
        content[place] ^= 0xFF
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"recording\.parquet: cannot be read as Parquet"):
        read_rows_and_counts(pl.DataFrame({"problem_id": ["p.0"]}), tmp_path, 8)


def test_a_recording_with_other_columns_is_refused(tmp_path: Path) -> None:
    pl.DataFrame({"problem_id": ["p.0"]}).write_parquet(tmp_path / "recording.parquet")
    with pytest.raises(InputError, match="column 'sample' is missing"):
        recorded_traces.read_recording(pl.DataFrame({"problem_id": ["p.0"]}), tmp_path, 8)


@pytest.mark.skipif(not REAL.is_file(), reason="the real rows are not here")
def test_real_solutions_of_four_models_are_four_recordings(tmp_path: Path) -> None:
    models = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")
    rows = []
    with REAL.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            rows += [{"q": row["question"], "model": name, **row[name]} for name in models]
    data = write_table(tmp_path / "solutions.jsonl", rows)
    right = []
    for name in models:
        traces = fetch_recording(
            recording_params(data, text="solution", outcome="is_correct", where={"model": name}),
            tmp_path / name,
        )
        assert traces.height == 1_319
        right.append(traces["outcome"].to_list().count("correct"))
    assert sorted(right) == [286, 458, 515, 742]
    problems = build_from_sources(
        mine={"table": TableProblems(data=data, statement="q", gold_answer=None)}
    )
    kept, counts = read_rows_and_counts(problems, tmp_path / models[0], 8)
    assert kept.height == counts["traces"] == problems.height == 1_319

"""Files of other tools give the same rows in every format, or a one-line error."""

import csv
import gzip
import json
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from delta.core.digests import sha256_of
from delta.core.errors import InputError
from delta.core.params import validate
from delta.data.formats.columns import ColumnsSource, columns_question
from delta.data.formats.question import RowError
from delta.data.rows import read_rows
from delta.data.sources import DataSource, HubDataset, LocalFiles, local_files

ROW = {"prompt": "One?", "chosen": "good", "rejected": "bad"}
JSONL = json.dumps(ROW) + "\n"
CSV = "prompt,chosen,rejected\nOne?,good,bad\n"
BOM = b"\xef\xbb\xbf"
CHAT = {
    "prompt": [{"role": "user", "content": 'Is "it\'s" one?\nTwo?'}],
    "chosen": [{"role": "assistant", "content": "yes"}],
}


def read_file(path: Path, columns: list[str] | None = None) -> list[dict[str, Any]]:
    file = LocalFiles(path=str(path), sha256=sha256_of(*local_files("data", str(path))))
    return list(read_rows("data", DataSource(file=file), columns))


def read_error(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_file(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def write_parquet(path: Path) -> None:
    pq.write_table(pa.table({name: [value] for name, value in ROW.items()}), path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", CSV.encode()),
        ("a.CSV", CSV.encode()),
        ("a.csv", BOM + CSV.encode()),
        ("a.csv", CSV.replace("\n", "\r\n").encode()),
        ("a.Jsonl", JSONL.encode()),
        ("a.jsonl", BOM + JSONL.encode()),
        ("a.jsonl", BOM + b"\n" + JSONL.encode()),
        ("a.JSONL.GZ", gzip.compress(JSONL.encode(), mtime=0)),
        ("a.jsonl.gz", gzip.compress(BOM + JSONL.encode(), mtime=0)),
        ("a.JSON", json.dumps([ROW]).encode()),
        ("a.json", BOM + json.dumps([ROW]).encode()),
    ],
)
def test_a_byte_order_mark_or_an_upper_case_suffix_changes_no_row(
    tmp_path: Path, name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)
    assert read_file(tmp_path / name) == [ROW]
    assert read_file(tmp_path) == [ROW]


def test_a_parquet_file_may_have_an_upper_case_suffix(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.PARQUET")
    assert read_file(tmp_path) == [ROW]


def test_hidden_files_and_folders_are_ignored(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(JSONL)
    alone = sha256_of(*local_files("data", str(tmp_path)))
    draft = JSONL.replace("good", "draft")
    for name in (".ipynb_checkpoints/a-checkpoint.jsonl", ".a.jsonl", "b/.cache/c.jsonl"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(draft)
    assert read_file(tmp_path) == [ROW]
    assert sha256_of(*local_files("data", str(tmp_path))) == alone


def test_a_folder_inside_a_hidden_one_can_be_read(tmp_path: Path) -> None:
    folder = tmp_path / ".cache" / "data"
    folder.mkdir(parents=True)
    (folder / "a.jsonl").write_text(JSONL)
    assert read_file(folder) == [ROW]


@pytest.mark.parametrize("other", ["a.csv", "a.json", "b/a.parquet", "a.jsonl.gz", "z.CSV"])
def test_two_file_formats_in_one_folder_are_refused(tmp_path: Path, other: str) -> None:
    (tmp_path / "a.jsonl").write_text(JSONL)
    (tmp_path / other).parent.mkdir(exist_ok=True)
    (tmp_path / other).write_text(CSV)
    message = read_error(tmp_path)
    assert message.startswith(f"data.file.path = '{tmp_path}': ")
    assert "a.jsonl" in message
    assert other in message


def test_files_of_one_format_are_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    (tmp_path / "b.JSONL").write_text(JSONL.replace("One", "Two"))
    (tmp_path / "a.jsonl").write_text(JSONL)
    assert [row["prompt"] for row in read_file(tmp_path)] == ["One?", "Two?"]


def test_decimals_become_numbers_without_losing_a_digit(tmp_path: Path) -> None:
    exact = "12345678901234567890.123456"
    values = [Decimal("7.000000"), Decimal("0.500000"), Decimal(exact), None]
    table = pa.table({"a": pa.array(values, pa.decimal128(38, 6))})
    pq.write_table(table, tmp_path / "a.parquet")
    assert [row["a"] for row in read_file(tmp_path)] == [7, 0.5, exact, None]
    assert isinstance(read_file(tmp_path)[0]["a"], int)


@pytest.mark.parametrize("width", [np.float16, np.float32, np.float64])
def test_a_narrow_float_becomes_its_shortest_decimal(tmp_path: Path, width: Any) -> None:
    values = np.array([2.2, 0.1, 1000, float("nan")], width)
    pq.write_table(pa.table({"a": pa.array(values)}), tmp_path / "a.parquet")
    assert [str(row["a"]) for row in read_file(tmp_path, ["a"])] == ["2.2", "0.1", "1000.0", "nan"]


@pytest.mark.parametrize("write", [json.dumps, repr], ids=["JSON", "pandas"])
def test_messages_in_csv_cells_are_parsed(tmp_path: Path, write: Any) -> None:
    with (tmp_path / "a.csv").open("w", newline="") as file:
        csv.writer(file).writerows([list(CHAT), [write(turns) for turns in CHAT.values()]])
    assert read_file(tmp_path) == [CHAT]


@pytest.mark.parametrize(
    "cell",
    [
        "[{'role': 'user', 'content': 'a'}\n {'role': 'assistant', 'content': 'b'}]",  # NumPy
        "[{'role': 'user', 'content': nan}]",
        '[{"role": "user", "content": "a"',
        '[{"role": "user", "role": "system", "content": "a"}]',
        "[{'role': 'user', 'content': __import__('os').getcwd()}]",
        "[{'role': 'user', 'content': 'a'}, 7]",
        '{"role": "user", "content": "a"}',
        "{'content': 'a', 'role': 'user'}",
        "[{'role': " + "(" * 100_000,
    ],
)
def test_a_cell_that_only_begins_like_messages_is_an_error(tmp_path: Path, cell: str) -> None:
    with (tmp_path / "a.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["prompt"], ["fine"], [cell]])
    message = read_error(tmp_path)
    assert "row 2: prompt: " in message
    assert "messages" in message


def test_messages_in_sharegpt_form_are_not_read_as_text(tmp_path: Path) -> None:
    turns = [{"from": "human", "value": "One?"}]
    with (tmp_path / "a.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["prompt"], [repr(turns)]])
    assert read_file(tmp_path) == [{"prompt": turns}]  # which the reader of a prompt refuses


@pytest.mark.parametrize("first", ["id", "weight", "type", "tool_calls"])
def test_messages_are_parsed_for_every_order_of_their_keys(tmp_path: Path, first: str) -> None:
    turns = [{first: 7, "role": "user", "content": "One?"}]
    with (tmp_path / "a.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["prompt"], [json.dumps(turns)]])
    assert read_file(tmp_path) == [{"prompt": turns}]


ANSWERS = ('[{"name": "Bob"}]', '[{"value": 3}]')  # in JSON, as they may be asked for


@pytest.mark.parametrize(
    "cell", ["[1, 2]", "[{x}]", "{'role': 1}", "'role'", "[{'a': 1}]", "[]", *ANSWERS]
)
def test_other_cells_remain_text(tmp_path: Path, cell: str) -> None:
    with (tmp_path / "a.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["prompt"], [cell]])
    assert read_file(tmp_path) == [{"prompt": cell}]


def test_a_wrong_digest_is_an_error_with_the_right_one(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(JSONL)
    data = DataSource(file=LocalFiles(path=str(tmp_path), sha256="0" * 64))
    with pytest.raises(InputError) as caught:
        list(read_rows("problems.sources.own.table.data", data))
    assert str(caught.value) == (
        f"problems.sources.own.table.data.file.sha256 = {'0' * 64}: {tmp_path} has "
        f"{sha256_of(tmp_path / 'a.jsonl')}; if that is the right file, set sha256 to it"
    )


def test_a_missing_digest_is_named_when_the_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(JSONL)
    content = {"file": {"path": str(tmp_path / "a.jsonl"), "sha256": None}}
    with pytest.raises(InputError) as caught:
        list(read_rows("own.data", validate("own.data", DataSource, content)))
    assert "own.data.file.sha256" in str(caught.value)
    assert sha256_of(tmp_path / "a.jsonl") in str(caught.value)
    content["file"]["path"] = str(tmp_path / "none.jsonl")
    with pytest.raises(InputError, match="no such file"):
        list(read_rows("own.data", validate("own.data", DataSource, content)))


@pytest.mark.parametrize("digest", ["...", "TODO", 0])
def test_a_value_that_is_no_digest_is_an_error_with_its_key(tmp_path: Path, digest: Any) -> None:
    content = {"file": {"path": str(tmp_path / "a.jsonl"), "sha256": digest}}
    with pytest.raises(InputError, match=r"own\.data\.file\.sha256"):
        validate("own.data", DataSource, content)


@pytest.mark.parametrize("gold", [float("nan"), float("inf"), "NaN", " nan", None, ""])
def test_a_gold_answer_that_is_not_a_number_is_a_row_error(gold: Any) -> None:
    source = ColumnsSource(
        format="columns",
        data=DataSource(file=LocalFiles(path="own.jsonl", sha256="0" * 64)),
        statement="q",
        gold_answer="a",
        grader="math",
        options=None,
    )
    with pytest.raises(RowError, match=r"^a = .*; expected a number or LaTeX"):
        columns_question(source, {"q": "1 + 1?", "a": gold})
    kept = columns_question(source, {"q": "1 + 1?", "a": "\\infty"})
    assert not isinstance(kept, str)
    assert kept.gold_answer == "\\infty"


def test_a_narrow_float_of_the_hub_is_read_as_one_of_a_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import datasets

    features = datasets.Features({"a": datasets.Value("float32"), "q": datasets.Value("string")})
    loaded = datasets.Dataset.from_dict({"a": [2.2, None], "q": ["x", "y"]}, features=features)
    builder = SimpleNamespace(
        hash="0" * 40,
        download_and_prepare=lambda: None,
        as_dataset=lambda split: {"train": loaded}[split],
    )
    monkeypatch.setattr(datasets, "load_dataset_builder", lambda *_, **__: builder)
    hub = HubDataset(repository="own/own", config=None, split="train", revision="0" * 40)
    rows = list(read_rows("data", DataSource(hub=hub), ["a"]))
    assert rows == [{"a": 2.2}, {"a": None}]


@pytest.mark.parametrize(
    "cell",
    [
        '[{"id": 3, "role": "user", "content": "One?"}]',
        '[{"tool_calls": null, "content": "One?", "role": "user"}]',
        "[{'weight': 1, 'from': 'human', 'value': 'One?'}]",
    ],
)
def test_messages_in_a_cell_are_parsed_for_every_first_key(tmp_path: Path, cell: str) -> None:
    with (tmp_path / "a.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["prompt"], [cell]])
    (row,) = read_file(tmp_path)
    (message,) = row["prompt"]
    assert "One?" in message.values()


@pytest.mark.parametrize(
    "cell",
    [
        "array([{'role': 'user', 'content': 'One?'}], dtype=object)",  # numpy's
        "[{'role': 'user', 'content': 'One?'}\n {'role': 'assistant', 'content': 'x'}]",
        '{"role": "user", "content": "One?"}',
    ],
)
def test_unreadable_messages_in_a_cell_are_an_error(tmp_path: Path, cell: str) -> None:
    with (tmp_path / "a.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["prompt"], [cell]])
    assert "row 1: prompt: it begins as messages, but they cannot be read" in read_error(tmp_path)


def test_json_without_messages_in_a_cell_remains_text(tmp_path: Path) -> None:
    cell = '[{"name": "Bob", "age": 3}] How old is Bob?'
    with (tmp_path / "a.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["prompt"], [cell]])
    assert read_file(tmp_path) == [{"prompt": cell}]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", CSV.encode("utf-16"), "; expected a text in UTF-8"),
        ("a.csv", "prompt\nKöln\n".encode("latin-1"), "; expected a text in UTF-8"),
        ("a.json", (JSONL * 2).encode(), "; JSON Lines have the suffix .jsonl"),
        ("a.tsv", b"prompt\tgold\n", "; it was read as JSON Lines, for its suffix is none of "),
    ],
)
def test_an_error_names_the_expected_encoding_or_suffix(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    assert message in read_error(tmp_path / name)

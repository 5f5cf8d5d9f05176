"""Tables are written completely, or a one-line error leaves the old file."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from delta.core import tables
from delta.core.errors import InputError
from delta.core.schemas import PAIR, TRACE
from tests.helpers.model_folders import list_files


def pair_rows(*names: str | None) -> pl.DataFrame:
    same: dict[str, Any] = {"problem_id": "p", "chosen_id": "c", "rejected_id": "r", "recipe": "x"}
    return tables.frame_of([{"pair_id": name, **same} for name in names], PAIR)


def read_error(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        tables.read(path, PAIR)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{path}: ")
    return str(caught.value).removeprefix(f"{path}: ")


def test_a_written_table_is_read_back_and_no_other_file_remains(tmp_path: Path) -> None:
    tables.write(tmp_path / "new" / "pairs.parquet", pair_rows("a", "b"), PAIR)
    assert tables.read(tmp_path / "new" / "pairs.parquet", PAIR).equals(pair_rows("a", "b"))
    assert list_files(tmp_path) == ["new", "new/pairs.parquet"]


@pytest.mark.parametrize("kept", [0.0, 0.01, 0.5, 0.99, 0.999])
def test_a_truncated_table_is_an_error_with_its_name(tmp_path: Path, kept: float) -> None:
    file = tmp_path / "pairs.parquet"
    tables.write(file, pair_rows(*map(str, range(1_000))), PAIR)
    content = file.read_bytes()
    file.write_bytes(content[: int(kept * len(content))])
    message = read_error(file)
    assert message.startswith("cannot be read as Parquet (")
    assert message.endswith("); restore or rebuild it")


def test_a_missing_or_different_table_is_an_error_with_its_name(tmp_path: Path) -> None:
    file = tmp_path / "pairs.parquet"
    assert read_error(file) == "no such file (the pair rows); run `make repro` first"
    file.write_text("pair_id\nfirst\n")
    assert read_error(file).startswith("cannot be read as Parquet (")
    pair_rows("a").drop("recipe").write_parquet(file)
    assert read_error(file) == (
        "column 'recipe' is missing; it has ['pair_id', 'problem_id', 'chosen_id', 'rejected_id', "
        "'chosen_outcome', 'rejected_outcome', 'length_difference']"
    )
    pair_rows("a").with_columns(recipe=pl.lit(1)).write_parquet(file)
    assert read_error(file) == "column 'recipe' is Int32; expected String"


@pytest.mark.parametrize(
    ("names", "message"),
    [(("b", "b"), "two pair rows share a"), (("b", None), "a pair row has no")],
)
def test_a_null_or_repeated_key_is_not_written_and_the_old_file_remains(
    tmp_path: Path, names: tuple[str | None, ...], message: str
) -> None:
    file = tmp_path / "pairs.parquet"
    tables.write(file, pair_rows("a"), PAIR)
    with pytest.raises(ValueError, match=message):
        tables.write(file, pair_rows(*names), PAIR)
    assert tables.read(file, PAIR).equals(pair_rows("a"))
    assert list_files(tmp_path) == ["pairs.parquet"]


def test_damage_in_a_table_read_in_batches_names_the_file(tmp_path: Path) -> None:
    file = tmp_path / "traces.parquet"
    keys = {"generator": "a", "sample": 0, "finish_reason": "stop"}
    texts = [
        {"trace_id": str(number), "problem_id": "p", "text": random.randbytes(400).hex(), **keys}
        for number in range(tables.TEXT_ROWS)
    ]
    tables.write(file, tables.frame_of(texts, TRACE), TRACE)
    content = bytearray(file.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 4_096] = bytes(4_096)
    file.write_bytes(content)
    scanned = tables.scan(file, TRACE)  # names, types and size are as they should be
    with pytest.raises(InputError) as caught, tables.wrap_read_errors(file):
        scanned.select("text").collect(engine="streaming")
    assert str(caught.value).startswith(f"{file}: cannot be read as Parquet (")
    with pytest.raises(InputError), tables.wrap_read_errors(file):
        list(scanned.collect_batches(chunk_size=9, engine="streaming"))


def test_a_table_written_in_batches_equals_one_written_whole(tmp_path: Path) -> None:
    whole, batched = tmp_path / "whole.parquet", tmp_path / "batched.parquet"
    tables.write(whole, pair_rows(*map(str, range(600))), PAIR)
    tables.write_batches(
        batched, (pair_rows(*map(str, range(n, n + 200))) for n in (0, 200, 400)), PAIR
    )
    assert tables.read(batched, PAIR).equals(tables.read(whole, PAIR))
    tables.write_batches(batched, iter(()), PAIR)
    assert tables.read(batched, PAIR).equals(pair_rows())


def test_failed_batches_and_repeated_keys_leave_the_old_file(tmp_path: Path) -> None:
    def broken() -> Iterator[pl.DataFrame]:
        yield pair_rows("b")
        raise InputError("no more")

    file = tmp_path / "pairs.parquet"
    tables.write(file, pair_rows("a"), PAIR)
    with pytest.raises(InputError, match="no more"):
        tables.write_batches(file, broken(), PAIR)
    with pytest.raises(ValueError, match="two pair rows share a"):
        tables.write_batches(file, [pair_rows("b"), pair_rows("b")], PAIR)
    assert tables.read(file, PAIR).equals(pair_rows("a"))
    assert list_files(tmp_path) == ["pairs.parquet"]

"""The selected pairs as a data set to hand on: shards in TRL's formats, and a card."""

import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from delta.core.errors import InputError
from delta.core.types import Counts
from delta.export import card
from delta.export import rows as formats
from delta.export.provenance import Provenance

MARK = "made.json"  # only a folder with it is ever replaced
MADE_BY = "decomposing-the-delta, delta.cli.export"
OURS = {"README.md", MARK, *formats.CONFIGS}
ROWS = 4_000  # rows a shard: 16,500 pairs of 60,000 characters make five of 250 MB unpacked
ROW_GROUP = 200  # rows that a reader has to unpack at once


def check_target(folder: Path) -> None:
    """InputError where the folder holds anything that no export of ours wrote."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise InputError(f"{folder}: is no folder; allowed: a new one, or an earlier export")
    if not folder.exists():
        return
    held = {entry.name for entry in folder.iterdir()}
    foreign = sorted(held - OURS) or ([] if not held or _is_marked(folder) else sorted(held))
    if foreign:
        raise InputError(
            f"{folder}: holds {foreign[0]!r}, which no export wrote; allowed: a new folder, an "
            "empty one, or an earlier export"
        )


def _is_marked(folder: Path) -> bool:
    try:
        content = json.loads((folder / MARK).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.get("made_by") == MADE_BY


def write_dataset(
    folder: Path,
    made: Provenance,
    selected: pl.DataFrame,
    problems: pl.DataFrame,
    traces: list[pl.LazyFrame],
) -> Counts:
    """The whole data set under `folder` in one step; the rows of each config.

    A shard's texts are in memory at once, never all. Raises InputError where the folder is not
    ours to replace, or a text is missing.
    """
    check_target(folder)
    folder = folder.absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    pairs = selected.filter("selected").sort("rank", "pair_id")
    # Beside the target, so that it can be renamed; a stopped export takes it away again.
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as name:
        part = Path(name) / "part"
        tables = {
            "preference": (pairs, formats.preference_rows),
            "unpaired": (formats.split_pairs(pairs, made.params.train.seed), formats.unpaired_rows),
        }
        assert tuple(tables) == formats.CONFIGS
        rows = {
            config: _write_shards(part / config, frame, problems, traces, shaped)
            for config, (frame, shaped) in tables.items()
        }
        sides = formats.describe_sides(pairs, traces)
        (part / "README.md").write_text(card.text(made, selected, sides, rows), encoding="utf-8")
        mark = {"made_by": MADE_BY, "commit": made.commit, "params_sha256": made.params_sha256}
        (part / MARK).write_text(json.dumps(mark | {"rows": rows}, indent=2) + "\n")
        if folder.exists():
            folder.rename(Path(name) / "before")
        part.rename(folder)
    return rows


def _write_shards(
    folder: Path,
    frame: pl.DataFrame,
    problems: pl.DataFrame,
    traces: list[pl.LazyFrame],
    shaped: Callable[[pl.DataFrame, pl.DataFrame, pl.DataFrame], pl.DataFrame],
) -> int:
    folder.mkdir(parents=True)
    number = -(-frame.height // ROWS)
    for place, rows in enumerate(_slices(frame)):
        table = shaped(rows, problems, formats.traces_of_rows(rows, traces))
        path = folder / f"train-{place:05d}-of-{number:05d}.parquet"
        # Plain strings and lists: what `datasets` and the hub's viewer know without Polars.
        pq.write_table(_plain(table.to_arrow()), path, row_group_size=ROW_GROUP, compression="zstd")
    return frame.height


def _slices(frame: pl.DataFrame) -> Iterator[pl.DataFrame]:
    for start in range(0, frame.height, ROWS):
        yield frame.slice(start, ROWS)


def _plain(table: Any) -> Any:
    return table.cast(pa.schema([(field.name, _plain_type(field.type)) for field in table.schema]))


def _plain_type(kind: Any) -> Any:
    if pa.types.is_large_list(kind):
        return pa.list_(_plain_type(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([(field.name, _plain_type(field.type)) for field in kind])
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    return kind

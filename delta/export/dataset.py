"""Write the selected pairs as shards in TRL's conversational formats, preference and unpaired."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from delta.core.errors import InputError
from delta.core.schemas import SIDES, delta_columns
from delta.core.shuffle import shuffle_key
from delta.core.types import Counts
from delta.export import card
from delta.export.provenance import CardFacts
from delta.prompts.control_tokens import strip_end_of_turn

MARKER = "made.json"  # only a folder with this file is ever replaced
MADE_BY = "decomposing-the-delta, delta.cli.export"
OWN_NAMES = {"README.md", MARKER, *card.CONFIGS}
SHARD_ROWS = 4_000  # 16,500 pairs of 60,000 characters make five shards of 250 MB unpacked
ROW_GROUP = 200  # rows that a reader unpacks at once

# Without an end-of-turn token from a user's file, because training on the rows appends another.
COMPLETION = (
    pl.when(pl.col("finish_reason") == "stop")
    .then(pl.col("text").map_elements(strip_end_of_turn, return_dtype=pl.String))
    .otherwise("text")
)

ShapeRows = Callable[[pl.DataFrame, pl.DataFrame, pl.DataFrame], pl.DataFrame]


def check_target(folder: Path) -> None:
    """Raise InputError if the folder holds anything that no export wrote."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise InputError(f"{folder}: not a folder; expected a new one, or an earlier export")
    names = {path.name for path in folder.iterdir()} if folder.exists() else set()
    foreign = sorted(names - OWN_NAMES)
    if names and not foreign and not _has_marker(folder):
        foreign = sorted(names)
    if foreign:
        raise InputError(
            f"{folder}: holds {foreign[0]!r}, which no export wrote; expected a new folder, an "
            "empty one, or an earlier export"
        )


def _has_marker(folder: Path) -> bool:
    try:
        content = json.loads((folder / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.get("made_by") == MADE_BY


def write_dataset(
    folder: Path,
    facts: CardFacts,
    selected: pl.DataFrame,
    problems: pl.DataFrame,
    traces: list[pl.LazyFrame],
) -> dict[str, int]:
    """Write the complete dataset to `folder`, or nothing, and return the number of rows by config.

    Only the texts of one shard are in memory at once. Raises InputError if the folder is not an
    export's, or a text is missing.
    """
    check_target(folder)
    folder = folder.absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    pairs = selected.filter("selected").sort("rank", "pair_id")
    tables: dict[str, tuple[pl.DataFrame, ShapeRows]] = {
        "preference": (pairs, preference_rows),
        "unpaired": (split_pairs(pairs, facts.params.train.seed), unpaired_rows),
    }
    # Beside the target, so that it can be renamed. An interrupted export removes it.
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as name:
        part = Path(name) / "part"
        rows = {}
        for config, (frame, shape) in tables.items():
            _write_shards(part / config, frame, problems, traces, shape)
            rows[config] = frame.height
        text = card.dataset_card(facts, selected, describe_sides(pairs, traces), rows)
        (part / "README.md").write_text(text, encoding="utf-8")
        marker = {
            "made_by": MADE_BY,
            "commit": facts.git.commit,
            "params_sha256": facts.params_sha256,
            "rows": rows,
        }
        (part / MARKER).write_text(json.dumps(marker, indent=2) + "\n", encoding="utf-8")
        if folder.exists():
            folder.rename(Path(name) / "before")
        part.rename(folder)
    return rows


def _write_shards(
    folder: Path,
    frame: pl.DataFrame,
    problems: pl.DataFrame,
    traces: list[pl.LazyFrame],
    shape: ShapeRows,
) -> None:
    folder.mkdir(parents=True)
    shards = list(frame.iter_slices(SHARD_ROWS)) if frame.height else []
    for number, rows in enumerate(shards):
        table = shape(rows, problems, traces_of_rows(rows, traces))
        path = folder / f"train-{number:05d}-of-{len(shards):05d}.parquet"
        # Without Arrow's schema readers see plain strings, as `datasets` and the hub's viewer do.
        arrow = table.to_arrow(compat_level=pl.CompatLevel.oldest())
        pq.write_table(
            arrow, path, row_group_size=ROW_GROUP, compression="zstd", store_schema=False
        )


def preference_rows(
    pairs: pl.DataFrame, problems: pl.DataFrame, traces: pl.DataFrame
) -> pl.DataFrame:
    """Return prompt, chosen and rejected as messages, and what is known about each pair."""
    rows = _join_prompts(pairs, problems)
    for side in SIDES:
        side_columns = traces.select(
            pl.col("trace_id").alias(f"{side}_id"),
            _messages("assistant", COMPLETION).alias(side),
            pl.col("generator").alias(f"{side}_generator"),
            pl.col("finish_reason").cast(pl.String).alias(f"{side}_finish_reason"),
        )
        rows = rows.join(side_columns, on=f"{side}_id", how="left", maintain_order="left")
    return rows.select(
        "prompt",
        *SIDES,
        "pair_id",
        "problem_id",
        "rank",
        "score",
        *delta_columns(rows).values(),
        *(pl.col(f"{side}_outcome").cast(pl.String) for side in SIDES),
        *(f"{side}_generator" for side in SIDES),
        *(f"{side}_finish_reason" for side in SIDES),
    )


def split_pairs(pairs: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Return both sides of every pair in the order of KTO training, as TRL does not shuffle."""
    rows = pl.concat(
        pairs.select(
            "pair_id",
            "problem_id",
            pl.col(f"{side}_id").alias("trace_id"),
            pl.col(f"{side}_outcome").cast(pl.String).alias("outcome"),
            side=pl.lit(side),
        )
        for side in SIDES
    )
    names = rows.select("pair_id", "side").iter_rows()
    order = [shuffle_key(seed, pair_id, side) for pair_id, side in names]
    return rows.with_columns(pl.Series("_order", order, dtype=pl.String)).sort("_order")


def unpaired_rows(rows: pl.DataFrame, problems: pl.DataFrame, traces: pl.DataFrame) -> pl.DataFrame:
    """Return prompt and completion as messages; `label` is true for the chosen side."""
    joined = _join_prompts(rows, problems).join(
        traces, on="trace_id", how="left", maintain_order="left"
    )
    return joined.select(
        "prompt",
        _messages("assistant", COMPLETION).alias("completion"),
        pl.col("side").eq("chosen").alias("label"),
        "pair_id",
        "problem_id",
        "outcome",
        "generator",
        pl.col("finish_reason").cast(pl.String),
    )


def _join_prompts(rows: pl.DataFrame, problems: pl.DataFrame) -> pl.DataFrame:
    prompts = problems.select(
        "problem_id",
        pl.concat_list("history", _messages("user", pl.col("prompt"))).alias("prompt"),
    )
    joined = rows.join(prompts, on="problem_id", how="left", maintain_order="left")
    if (missing := joined.filter(pl.col("prompt").is_null())).height:
        name = missing["problem_id"][0]
        raise InputError(f"problem {name!r} of a pair is missing; rebuild with `dvc repro`")
    return joined


def _messages(role: str, content: pl.Expr) -> pl.Expr:
    return pl.concat_list(pl.struct(pl.lit(role).alias("role"), content.alias("content")))


def traces_of_rows(rows: pl.DataFrame, traces: list[pl.LazyFrame]) -> pl.DataFrame:
    """Return the traces of `rows`. Raises InputError if one is missing."""
    names = [name for name in ("chosen_id", "rejected_id", "trace_id") if name in rows.columns]
    ids = pl.concat([rows[name] for name in names]).unique()
    columns = ("trace_id", "generator", "text", "finish_reason")
    texts = _collect(traces, ids, [pl.col(name) for name in columns])
    if missing := sorted(set(ids) - set(texts["trace_id"])):
        raise InputError(f"trace {missing[0]!r} of a pair is missing; rebuild with `dvc repro`")
    return texts


def describe_sides(pairs: pl.DataFrame, traces: list[pl.LazyFrame]) -> dict[str, Counts]:
    """Return for each side how its traces ended, and their mean length in characters."""
    sides = {}
    for side in SIDES:
        columns = [pl.col("finish_reason"), pl.col("text").str.len_chars().alias("length")]
        texts = _collect(traces, pairs[f"{side}_id"], columns)
        ended = texts["finish_reason"].cast(pl.String).value_counts().sort("finish_reason")
        mean = texts.select(pl.col("length").mean()).item()
        sides[side] = {"ended": dict(ended.iter_rows()), "mean_length": round(mean)}
    return sides


def _collect(traces: list[pl.LazyFrame], ids: pl.Series, columns: list[pl.Expr]) -> pl.DataFrame:
    return pl.concat(
        frame.filter(pl.col("trace_id").is_in(ids.implode()))
        .select(columns)
        .collect(engine="streaming")
        for frame in traces
    )

"""Draw the deltas of the pairs by dimension, the selected ones in colour."""

from itertools import pairwise
from pathlib import Path

import polars as pl

from delta.core.schemas import DELTA_PREFIX, delta_columns
from delta.core.types import Row
from delta.report.figures import style
from delta.report.figures.svg import MUTED, SERIES

NAME = "deltas"
COLUMNS = 3  # panels in a row


def count_deltas(pairs: pl.DataFrame) -> list[Row]:
    """Count the pairs by dimension and delta, rounded to one decimal, and the selected of them."""
    names = {"variable_name": "dimension", "value_name": "delta"}
    dimension, delta = pl.col("dimension"), pl.col("delta").cast(pl.Float64)
    return (
        pairs.unpivot([*delta_columns(pairs).values()], index="selected", **names)
        .with_columns(dimension.str.strip_prefix(DELTA_PREFIX), delta.round(1))
        .drop_nulls("delta")
        .group_by("dimension", "delta")
        .agg(pairs=pl.len(), selected=pl.col("selected").sum())
        .sort("dimension", "delta")
        .to_dicts()
    )


def draw(rows: list[Row], folder: Path) -> None:
    """Draw a histogram for each dimension, on shared scales. `rows` are those of count_deltas."""
    dimensions = style.distinct(rows, "dimension")
    lines = -(-len(dimensions) // COLUMNS)
    layout = {"nrows": lines, "ncols": min(COLUMNS, len(dimensions)), "squeeze": False}
    size = (2.7 * layout["ncols"], 2.1 * lines + 0.4)
    values = sorted({row["delta"] for row in rows})
    width = 0.8 * min((after - before for before, after in pairwise(values)), default=1.0)
    with style.figure(folder, NAME, figsize=size, sharex=True, sharey=True, **layout) as (
        drawing,
        grid,
    ):
        for axes in list(grid.flat)[len(dimensions) :]:
            axes.set_axis_off()
        for axes, dimension in zip(grid.flat, dimensions, strict=False):
            own = [row for row in rows if row["dimension"] == dimension]
            deltas = [row["delta"] for row in own]
            for column, colour, label in (
                ("pairs", MUTED, "all pairs"),
                ("selected", SERIES[0], "selected"),
            ):
                axes.bar(deltas, [row[column] for row in own], width, color=colour, label=label)
            axes.set_title(dimension.replace("_", " "))
            axes.set_xlim(-4.6, 4.6)
            axes.set_xlabel("delta")
            axes.tick_params(labelbottom=True)
        for line in grid:
            line[0].set_ylabel("pairs")
        handles, labels = grid[0][0].get_legend_handles_labels()
        drawing.legend(handles, labels, loc="outside lower center", ncols=2)

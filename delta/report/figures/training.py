"""Draw the training of the policy: loss, margin and log-probabilities by optimizer step."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import polars as pl

from delta.core.schemas import SIDES
from delta.report.figures import style
from delta.report.figures.svg import MUTED, SERIES

NAME = "training"


class Curve(NamedTuple):
    """A column of the history, its name in the legend, and its place among the styles."""

    column: str
    label: str
    style: int


class Panel(NamedTuple):
    """A title, and the curves that share a scale."""

    title: str
    curves: Sequence[Curve]


PANELS = (
    Panel("loss", (Curve("loss", "training", 0), Curve("held_out_loss", "held-out pairs", 1))),
    Panel("reward margin: chosen − rejected", (Curve("rewards_margins", "", 0),)),
    Panel(
        "log-probability, change from the base",
        (Curve("chosen_change", "chosen", 2), Curve("rejected_change", "rejected", 3)),
    ),
)


def read_curves(history: Path, held_out: Path, beta: float | None) -> pl.DataFrame:
    """Return the curves by step; SFT, which has no `beta`, has only losses.

    The reward of a trace is beta times the change of its log-probability, which is therefore known
    without the base's. Between steps it varies less than the log-probability, for traces differ.
    """
    training, losses = (
        pl.read_csv(path, separator="\t", infer_schema=False) for path in (history, held_out)
    )
    losses = losses.rename({"loss": "held_out_loss"})
    curves = (
        training.join(losses, on="step", how="full", coalesce=True)
        .cast(pl.Float64)
        .with_columns(pl.col("step").cast(pl.Int64))
        .sort("step")
    )
    if beta is None:
        return curves
    return curves.with_columns(
        (pl.col(f"rewards_{side}") / beta).alias(f"{side}_change") for side in SIDES
    )


def draw(curves: pl.DataFrame, folder: Path) -> None:
    """Draw a panel for each quantity that this method of training has."""
    panels = []
    for panel in PANELS:
        present = [curve for curve in panel.curves if _has_values(curves, curve.column)]
        if present:
            panels.append(Panel(panel.title, present))
    layout = {"ncols": len(panels), "figsize": (3.3 * len(panels), 2.8), "squeeze": False}
    with style.figure(folder, NAME, **layout) as (_, grid):
        for axes, panel in zip(grid[0], panels, strict=True):
            for column, label, number in panel.curves:
                rows = curves.select("step", column).drop_nulls()
                look = {"color": SERIES[number], "linestyle": style.DASHES[number]}
                marker = style.MARKERS[number] if len(rows) < 30 else ""
                axes.plot(rows["step"], rows[column], marker, markersize=3, label=label, **look)
            axes.set_title(panel.title)
            axes.set_xlabel("optimizer step")
            if panel.title != "loss":
                axes.axhline(0, color=MUTED, linewidth=0.8)
            if len(panel.curves) > 1:
                axes.legend()


def _has_values(curves: pl.DataFrame, column: str) -> bool:
    return column in curves.columns and curves[column].count() > 0

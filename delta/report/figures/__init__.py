"""The pictures of a run, as SVG and PNG. Those of the paper: delta.report.figures.paper."""

from pathlib import Path
from typing import Any

import polars as pl
from matplotlib.axes import Axes

from delta.report.figures import style

COLOURS = ("#8c9aa9", "#d1495b", "#30638e", "#edae49", "#00798c")


def accuracy(rows: list[dict[str, Any]], target: Path) -> None:
    """Bars with 95 % intervals: a group for each benchmark, a bar for each model."""
    models = list(dict.fromkeys(row["model"] for row in rows))
    benchmarks = list(dict.fromkeys(row["benchmark"] for row in rows))
    width = 0.8 / len(models)
    with style.figure(target, "accuracy", {}, figsize=(7, 4)) as (_, axes):
        for number, model in enumerate(models):
            own = {row["benchmark"]: row for row in rows if row["model"] == model}
            places = [index + (number - (len(models) - 1) / 2) * width for index in range(len(own))]
            values = [own[name]["accuracy"] for name in benchmarks]
            below = [own[name]["accuracy"] - own[name]["low"] for name in benchmarks]
            above = [own[name]["high"] - own[name]["accuracy"] for name in benchmarks]
            axes.bar(places, values, width * 0.92, label=model, color=COLOURS[number % 5])
            axes.errorbar(places, values, [below, above], fmt="none", ecolor="#222222", capsize=4)
        axes.set_xticks(range(len(benchmarks)), benchmarks)
        axes.set_ylim(0)
        axes.set_ylabel("correct answers (%), 95 % interval")
        axes.legend(frameon=False)


def training(history: pl.DataFrame, target: Path) -> None:
    """Loss, reward margin, and how often the chosen trace has the higher reward, by step."""
    curves = ("loss", "rewards_margins", "rewards_accuracies")
    with style.figure(target, "training", {}, nrows=1, ncols=3, figsize=(9, 3)) as (_, all_axes):
        for axes, column, colour in zip(all_axes, curves, COLOURS[1:], strict=False):
            axes.plot(history["step"], history[column], color=colour)
            axes.set_title(column.replace("_", " "))
            axes.set_xlabel("optimizer step")


def deltas(rows: list[dict[str, Any]], target: Path) -> None:
    """A histogram of sample-level deltas for each dimension."""
    dimensions = list(dict.fromkeys(row["dimension"] for row in rows))
    size = {"nrows": 1, "ncols": len(dimensions), "figsize": (2.4 * len(dimensions), 2.8)}
    with style.figure(target, "deltas", {}, **size, sharey=True, squeeze=False) as (_, grid):
        all_axes: list[Axes] = list(grid[0])
        for axes, dimension in zip(all_axes, dimensions, strict=True):
            own = [row for row in rows if row["dimension"] == dimension]
            axes.bar([r["delta"] for r in own], [r["pairs"] for r in own], 0.8, color=COLOURS[2])
            axes.set_title(dimension.replace("_", "\n"), fontsize=9)
            axes.set_xlim(-4.6, 4.6)
            axes.set_xlabel("delta")
        all_axes[0].set_ylabel("pairs")

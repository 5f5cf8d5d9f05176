"""Figures of the trained policy: accuracy, training curves, and the deltas of its pairs."""

from pathlib import Path

import polars as pl

from delta.core.types import Row
from delta.report.figures import style
from delta.report.figures.style import distinct

COLOURS = ("#8c9aa9", "#d1495b", "#30638e", "#edae49", "#00798c")


def draw_accuracy(rows: list[Row], folder: Path) -> None:
    """Draw bars with 95% intervals: a group for each benchmark, a bar for each model."""
    models, benchmarks = distinct(rows, "model"), distinct(rows, "benchmark")
    width = 0.8 / len(models)
    with style.figure(folder, "accuracy", {}, figsize=(7, 4)) as (_, axes):
        for number, model in enumerate(models):
            own = {row["benchmark"]: row for row in rows if row["model"] == model}
            xs = [place + (number - (len(models) - 1) / 2) * width for place in range(len(own))]
            values = [own[name]["score"] for name in benchmarks]
            below = [own[name]["score"] - own[name]["low"] for name in benchmarks]
            above = [own[name]["high"] - own[name]["score"] for name in benchmarks]
            axes.bar(xs, values, width * 0.92, label=model, color=COLOURS[number % 5])
            axes.errorbar(xs, values, [below, above], fmt="none", ecolor="#222222", capsize=4)
        axes.set_xticks(range(len(benchmarks)), benchmarks)
        axes.set_ylim(0)
        axes.set_ylabel("correct answers (%), 95% interval")
        axes.legend(frameon=False)


def draw_training(history: pl.DataFrame, folder: Path) -> None:
    """Draw loss, reward margin and reward accuracy by step."""
    columns = ("loss", "rewards_margins", "rewards_accuracies")
    with style.figure(folder, "training", {}, nrows=1, ncols=3, figsize=(9, 3)) as (_, panels):
        for axes, column, colour in zip(panels, columns, COLOURS[1:], strict=False):
            axes.plot(history["step"], history[column], color=colour)
            axes.set_title(column.replace("_", " "))
            axes.set_xlabel("optimizer step")


def draw_deltas(rows: list[Row], folder: Path) -> None:
    """Draw a histogram of the pairs' deltas for each dimension."""
    dimensions = distinct(rows, "dimension")
    layout = {"nrows": 1, "ncols": len(dimensions), "figsize": (2.4 * len(dimensions), 2.8)}
    with style.figure(folder, "deltas", {}, **layout, sharey=True, squeeze=False) as (_, grid):
        for axes, dimension in zip(grid[0], dimensions, strict=True):
            own = [row for row in rows if row["dimension"] == dimension]
            heights = [row["pairs"] for row in own]
            axes.bar([row["delta"] for row in own], heights, 0.8, color=COLOURS[2])
            axes.set_title(dimension.replace("_", "\n"), fontsize=9)
            axes.set_xlim(-4.6, 4.6)
            axes.set_xlabel("delta")
        grid[0][0].set_ylabel("pairs")

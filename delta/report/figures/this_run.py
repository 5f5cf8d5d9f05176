"""Draw what the run in this workspace taught: the policy against the base, by measure."""

import math
from pathlib import Path

from matplotlib.axes import Axes

from delta.report.figures import style
from delta.report.figures.svg import BACKGROUND, INK, MUTED, SERIES
from delta.report.this_run import ThisRun
from delta.stats.contrasts import format_difference
from delta.stats.intervals import Interval

NAME = "this-run"
# Inches. As wide as a phone, so that its text keeps its size there.
WIDTH, MEASURE_HEIGHT, LEGEND_HEIGHT = 3.9, 0.76, 0.5
BAR = 0.2  # of the height of a measure


def draw(run: ThisRun, folder: Path) -> None:
    """Draw two bars with 95% intervals for each measure; above them its name, then the difference.

    Side by side, a long name and a long difference would overlap.
    """
    size = (WIDTH, MEASURE_HEIGHT * len(run.measures) + LEGEND_HEIGHT)
    top = max(part.high for measure in run.measures for part in (measure.base, measure.policy))
    limit = min(100, 20 * math.ceil(5 * top))
    right = 1.15 * limit  # room for the value beside the longest bar
    with style.figure(folder, NAME, figsize=size) as (drawing, axes):
        for row, measure in enumerate(run.measures):
            sides = (("base", measure.base, MUTED), ("policy", measure.policy, SERIES[0]))
            for number, (label, score, colour) in enumerate(sides):
                y = row + (number + 0.5) * BAR
                _bar(axes, y, score, colour, label if row == 0 else "")
            axes.text(0, row - 0.26, measure.label, va="bottom", fontsize=9, weight="bold")
            difference = format_difference(measure.difference).replace("-", "−")
            text = f"{difference} {measure.verdict}"
            axes.text(0, row - 0.05, text, va="bottom", fontsize=8)
        axes.set_xlim(0, right)
        axes.set_xticks([tick for tick in axes.get_xticks() if tick <= limit])
        axes.set_ylim(len(run.measures) - 0.5, -0.5)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.tick_params(labelsize=8)
        axes.set_xlabel("answers (%), 95% interval; difference in points", fontsize=8)
        labels = [f"base: {run.base}", "policy"]
        handles = axes.get_legend_handles_labels()[0]
        drawing.legend(handles, labels, loc="outside upper left", ncols=2, fontsize=8)


def _bar(axes: Axes, y: float, score: Interval, colour: str, label: str) -> None:
    """Draw a bar with its interval, and its value to the right of both."""
    value, low, high = (100 * bound for bound in score)
    axes.barh(y, value, BAR * 0.9, color=colour, label=label)
    for tone, width in ((BACKGROUND, 3.2), (INK, 1.2)):  # the first sets the line off from the bar
        axes.plot([low, high], [y, y], color=tone, linewidth=width, solid_capstyle="butt")
    axes.annotate(
        f"{value:.1f}%", (high, y), (4, 0), textcoords="offset points", va="center", fontsize=8
    )

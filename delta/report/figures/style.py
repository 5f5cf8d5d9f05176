"""One style for all figures. Equal input gives equal files, SVG and PNG."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from delta.core.types import Row
from delta.evaluation import cut_answers
from delta.report.figures import svg
from delta.report.figures.svg import BACKGROUND, GRID, INK, MUTED

MARKERS = ("o", "s", "^", "D", "v")
DASHES = ("-", "--", "-.", (0, (3, 1, 1, 1, 1, 1)), (0, (6, 2)))
HATCHES = ("//", "", "\\\\", "..", "xx")

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: it can be searched, and takes the page's colour
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 10,
    "axes.facecolor": BACKGROUND,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": BACKGROUND,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": GRID,
    "hatch.color": BACKGROUND,
    "legend.frameon": False,
    "legend.fontsize": 9,
}


@contextmanager
def figure(folder: Path, name: str, **subplots: Any) -> Iterator[tuple[Figure, Any]]:
    """Yield a figure and its axes to draw on, then write `name`.svg and `name`.png."""
    with mpl.rc_context(STYLE | {"svg.hashsalt": name}):  # no random ids; and no date below
        drawing, axes = plt.subplots(layout="constrained", **subplots)
        yield drawing, axes
        folder.mkdir(parents=True, exist_ok=True)
        drawing.savefig(folder / f"{name}.svg", metadata={"Date": None})
        svg.finish(folder / f"{name}.svg")
        drawing.savefig(folder / f"{name}.png", dpi=150)
        plt.close(drawing)


def mark_cut(
    axes: Axes, point: tuple[float, float], share: float | None, colour: str = INK
) -> None:
    """Write the mark of cut answers above a point; nothing where few were cut."""
    if symbol := cut_answers.mark(share):
        look: dict[str, Any] = {"textcoords": "offset points", "ha": "center", "fontsize": 8}
        axes.annotate(symbol, point, (0, 1), color=colour, **look)


def add_to_legend(axes: Axes, shares: Iterable[float | None]) -> None:
    """Add to the legend of `axes` what the marks of these numbers mean."""
    for text in cut_answers.notes(shares, cut_answers.LEGEND):
        axes.plot([], [], " ", label=text)


def distinct(rows: Iterable[Row], column: str) -> list[Any]:
    """Return the values of a column, each once, in their order."""
    return list(dict.fromkeys(row[column] for row in rows))

"""Draw the panels of the paper's figures, and what is on them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from delta.core.types import Row
from delta.evaluation.cut_answers import marked
from delta.report.figures import style
from delta.report.figures.style import distinct
from delta.report.figures.svg import INK, MUTED, SERIES

TITLES = {"easy": "easy math", "hard": "hard math", "math": "math", "stem": "STEM", "code": "code"}
MAX_SHARED_HEIGHT = 2  # of one range of y for all panels, in heights of the highest panel's

Points = Sequence[tuple[float, Row]]  # x and the row that is drawn there


@contextmanager
def panels(
    folder: Path,
    name: str,
    rows: list[Row],
    size: tuple[float, float],
    y_label: str = "",
    column: str = "domain",
    lines: int = 1,
) -> Iterator[list[tuple[Axes, list[Row]]]]:
    """Yield a panel with its rows for each entry of `column`, then write the figure.

    With a `y_label` the panels share their scale and the figure has a legend.
    """
    entries = distinct(rows, column)
    lines = min(lines, len(entries))
    columns = -(-len(entries) // lines)
    layout = {"nrows": lines, "ncols": columns, "squeeze": False}
    with style.figure(folder, name, figsize=size, **layout) as (drawing, all_axes):
        used = list(all_axes.flat)[: len(entries)]
        for axes in list(all_axes.flat)[len(entries) :]:
            axes.set_axis_off()
        for axes, entry in zip(used, entries, strict=True):
            axes.set_title(TITLES.get(entry, entry))
        yield [
            (axes, [row for row in rows if row[column] == entry])
            for axes, entry in zip(used, entries, strict=True)
        ]
        if y_label:
            for axes in used[::columns]:
                axes.set_ylabel(y_label)
            share_scale(used)
            has_number = [row for row in rows if row["low"] is not None]
            style.add_to_legend(used[0], [row["cut"] for row in has_number])
            handles, labels = used[0].get_legend_handles_labels()
            legend_columns = len(labels) if len(labels) <= 4 else 3
            drawing.legend(handles, labels, loc="outside lower center", ncols=legend_columns)


def share_scale(panels: Sequence[Axes]) -> None:
    """Give all panels the same range of y; where they are far apart, ranges of the same height.

    A point then has the same height in every panel, also where one has scores near 90% and another
    near 10%.
    """
    for axes in panels:
        axes.use_sticky_edges = False  # room below a base that is 0
        axes.margins(y=0.08)  # after the base's line, which does not widen the axis itself
    ranges = [axes.get_ylim() for axes in panels]
    lowest, highest = min(low for low, _ in ranges), max(high for _, high in ranges)
    height = max(high - low for low, high in ranges)
    for axes, (low, high) in zip(panels, ranges, strict=True):
        if highest - lowest <= MAX_SHARED_HEIGHT * height:
            axes.set_ylim(lowest, highest)
        else:
            middle = (low + high) / 2
            axes.set_ylim(middle - height / 2, middle + height / 2)


def draw_bars(
    axes: Axes, points: Points, column: str, bottom: float, width: float, number: int, label: str
) -> None:
    """Draw bars. A run without a result leaves a gap."""
    points = [(x, row) for x, row in points if row[column] is not None]
    look: dict[str, Any] = {"color": SERIES[number], "hatch": style.HATCHES[number]}
    xs, values = [x for x, _ in points], [row[column] for _, row in points]
    heights = [value - bottom for value in values]
    axes.bar(xs, heights, width * 0.92, bottom=bottom, label=label, **look)
    draw_intervals(axes, points, INK)
    axes.plot(xs, values, color=INK, marker=".", linestyle="none")


def draw_line(axes: Axes, points: Points, number: int, label: str) -> None:
    """Draw a line through the scores, with their intervals."""
    points = [(x, row) for x, row in points if row["score"] is not None]
    look: dict[str, Any] = {"marker": style.MARKERS[number], "linestyle": style.DASHES[number]}
    look |= {"color": SERIES[number], "linewidth": 1.4, "markersize": 5, "label": label}
    axes.plot([x for x, _ in points], [row["score"] for _, row in points], **look)
    draw_intervals(axes, points, SERIES[number])


def draw_intervals(axes: Axes, points: Points, colour: str) -> None:
    """Draw the interval of each row as a vertical line, with the mark of cut answers above it.

    A run without a result has none.
    """
    for x, row in points:
        if row["high"] is None:
            continue
        axes.plot([x, x], [row["low"], row["high"]], color=colour, linewidth=1, zorder=3)
        style.mark_cut(axes, (x, row["high"]), row["cut"], colour)


def draw_band(axes: Axes, points: Points, label: str) -> None:
    """Draw scores with their intervals as a grey band."""
    points = [(x, row) for x, row in points if row["score"] is not None]
    if not points:
        return
    # Slightly wider than the sizes, because a band over one size would be invisible.
    (first_x, first), (last_x, last) = points[0], points[-1]
    points = [(first_x - 0.2, first), *points, (last_x + 0.2, last)]
    xs = [x for x, _ in points]
    low, high, score = ([row[name] for _, row in points] for name in ("low", "high", "score"))
    axes.fill_between(xs, low, high, color=MUTED, alpha=0.25, linewidth=0, label=label)
    axes.plot(xs, score, color=MUTED, linewidth=1)
    for x, row in points[1:-1]:
        style.mark_cut(axes, (x, row["high"]), row["cut"], MUTED)


def draw_base(axes: Axes, rows: list[Row], base: str) -> None:
    """Draw the score of the model before training as a line, named in the legend."""
    if rows[0]["base"] is not None:
        look: dict[str, Any] = {"color": INK, "linewidth": 1.4, "linestyle": ":", "zorder": 4}
        label = marked(f"base: {base}", rows[0]["base_cut"])
        axes.axhline(rows[0]["base"], label=label, **look)

"""Draw the figures for what the paper's cannot separate: gains over the base, with intervals."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes

from delta.core.schemas import SIDES
from delta.core.types import Row
from delta.report.figures import style
from delta.report.figures.panels import (
    TITLES,
    Points,
    draw_bars,
    draw_intervals,
    panels,
    share_scale,
)
from delta.report.figures.paper import PaperFigure, draw_figures
from delta.report.figures.style import distinct
from delta.report.figures.svg import INK, SERIES

LABELS = {
    "top": "largest deltas",
    "bottom": "smallest deltas",
    "random": "random pairs",
    "small": "small gap",
    "large": "large gap",
}


def draw_all(rows: dict[str, list[Row]], base: str, folder: Path) -> dict[str, str]:
    """Draw every figure that has rows; return their titles by name. `base` is a model's name."""
    return draw_figures(FIGURES, rows, base, folder)


def draw_gap_by_delta(rows: list[Row], base: str, folder: Path) -> None:
    """Draw a bar for the smallest and the largest deltas, at each gap between the generators."""
    gaps, deltas = distinct(rows, "gap"), distinct(rows, "delta")
    with panels(folder, "gap-by-delta", rows, (9, 3.6), _gain_label(base)) as parts:
        for axes, own in parts:
            _grouped_bars(axes, own, ("gap", gaps), ("delta", deltas))


def draw_outcome_matched(rows: list[Row], base: str, folder: Path) -> None:
    """Draw a bar for random pairs and one for the largest deltas; both sides are right."""
    modes = distinct(rows, "mode")
    with panels(folder, "outcome-matched", rows, (9, 3.6), _gain_label(base)) as parts:
        for axes, own in parts:
            for number, mode in enumerate(modes):
                points = [(float(number), row) for row in own if row["mode"] == mode]
                draw_bars(axes, points, "gain", 0.0, 0.7, number, label(mode))
            axes.set_xticks([])
            axes.set_xlim(-0.6, len(modes) - 0.4)
            axes.axhline(0, color=INK, linewidth=0.8)


def draw_dose(rows: list[Row], base: str, folder: Path) -> None:
    """Draw gains against the fifths of the deltas; under each fifth its mean delta."""
    quintiles = distinct(rows, "quintile")
    with panels(folder, "dose", rows, (9, 3.8), _gain_label(base)) as parts:
        for axes, own in parts:
            points = [(float(quintiles.index(row["quintile"])), row) for row in own]
            _line(axes, points, "pairs of one fifth")
            ticks = [_dose_tick(row) for row in own]
            axes.set_xticks(range(len(quintiles)), ticks)
            axes.set_xlim(-0.4, len(quintiles) - 0.6)
            axes.set_xlabel("fifth of the deltas; below it the mean")
            axes.axhline(0, color=INK, linewidth=0.8)


def draw_outcome_quality(rows: list[Row], base: str, folder: Path) -> None:
    """Draw the ratings of both sides of figure 3's sets of pairs, and beside them the gains."""
    pairs, domains = distinct(rows, "pairs"), distinct(rows, "domain")
    layout = {"ncols": 1 + len(domains), "squeeze": False}
    size = (3 * (1 + len(domains)), 3.9)
    with style.figure(folder, "outcome-quality", figsize=size, **layout) as (drawing, grid):
        ratings, *gains = grid[0]
        of_pairs = [row for row in rows if row["domain"] == domains[0]]
        for number, side in enumerate(SIDES):
            known = [
                (pairs.index(row["pairs"]), row[f"{side}_rating"])
                for row in of_pairs
                if row[f"{side}_rating"] is not None
            ]
            look = {"marker": style.MARKERS[number], "color": SERIES[number], "linestyle": "none"}
            ratings.plot(
                [x for x, _ in known], [y for _, y in known], label=f"{side} trace", **look
            )
        ratings.set_title("mean rating of the pairs")
        ratings.set_ylabel("points, 1 to 5")
        for axes, domain in zip(gains, domains, strict=True):
            own = [row for row in rows if row["domain"] == domain]
            points = [(float(pairs.index(row["pairs"])), row) for row in own]
            draw_bars(axes, points, "gain", 0.0, 0.7, 2, "gain")
            axes.axhline(0, color=INK, linewidth=0.8)
            axes.set_title(TITLES.get(domain, domain))
        gains[0].set_ylabel(_gain_label(base), fontsize=9)
        share_scale(gains)
        style.add_to_legend(gains[0], [row["cut"] for row in rows if row["low"] is not None])
        for axes in grid[0]:
            labels = [entry.replace("-", " →\n") for entry in pairs]
            axes.set_xticks(range(len(pairs)), labels, rotation=45, fontsize=7)
            axes.set_xlim(-0.6, len(pairs) - 0.4)
        handles = [axes.get_legend_handles_labels() for axes in (ratings, gains[0])]
        drawing.legend(
            [handle for some, _ in handles for handle in some],
            [text for _, some in handles for text in some],
            loc="outside lower center",
            ncols=3,
        )


FIGURES = {
    "outcome-quality": PaperFigure(
        "Outcomes: how good are the four sets of pairs?", draw_outcome_quality
    ),
    "gap-by-delta": PaperFigure(
        "Gap: distance of the generators or delta of the pair?", draw_gap_by_delta
    ),
    "dose": PaperFigure("Dose: gains by fifths of the deltas", draw_dose),
    "outcome-matched": PaperFigure(
        "Matched: large deltas where both sides are right", draw_outcome_matched
    ),
}


def label(entry: str) -> str:
    """Return the words for an entry of an axis."""
    return LABELS.get(entry, entry)


def _grouped_bars(
    axes: Axes, rows: list[Row], groups: tuple[str, Sequence[str]], bars: tuple[str, Sequence[str]]
) -> None:
    """Draw for each entry of the first axis a bar for each entry of the second."""
    (group_axis, group_entries), (bar_axis, bar_entries) = groups, bars
    width = 0.8 / max(1, len(bar_entries))
    for number, entry in enumerate(bar_entries):
        shift = (number - (len(bar_entries) - 1) / 2) * width
        own = [row for row in rows if row[bar_axis] == entry]
        points = [(group_entries.index(row[group_axis]) + shift, row) for row in own]
        draw_bars(axes, points, "gain", 0.0, width, number, label(entry))
    axes.set_xticks(range(len(group_entries)), [label(entry) for entry in group_entries])
    axes.axhline(0, color=INK, linewidth=0.8)


def _line(axes: Axes, points: Points, text: str) -> None:
    known = [(x, row) for x, row in points if row["gain"] is not None]
    xs, gains = [x for x, _ in known], [row["gain"] for _, row in known]
    axes.plot(xs, gains, marker=style.MARKERS[0], color=SERIES[0], linewidth=1.4, label=text)
    draw_intervals(axes, known, SERIES[0])


def _dose_tick(row: Row) -> str:
    mean = row["mean_delta_selected"]
    return row["quintile"] if mean is None else f"{row['quintile']}\n{mean:+.2f}".replace("-", "−")


def _gain_label(base: str) -> str:
    return f"gain over {base} (points), 95% interval"

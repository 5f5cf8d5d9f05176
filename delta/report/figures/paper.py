"""Draw the paper's five figures in their original form, with intervals."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.patches import Rectangle

from delta.core.types import Row
from delta.report.equal_pairs import entries
from delta.report.figures.data import ALL, RANDOM
from delta.report.figures.panels import (
    draw_band,
    draw_bars,
    draw_base,
    draw_intervals,
    draw_line,
    panels,
)
from delta.report.figures.style import distinct
from delta.report.figures.svg import INK

# White to blue. Numbers in cells have their own dark or light tone, whatever the page's theme.
HEAT = LinearSegmentedColormap.from_list("heat", ["#eef5fb", "#0b4f8a"])
# Not pure black, because Matplotlib writes black without a colour.
ON_LIGHT, ON_DARK, DARK_FROM = "#010101", "#fdfeff", 0.74
SCORE_LABEL = "correct answers (%), 95% interval"


def draw_all(rows: dict[str, list[Row]], base: str, folder: Path) -> dict[str, str]:
    """Draw every figure that has rows (figures.data.build_rows); return their titles by name.

    `base` is the name of the model before training.
    """
    return draw_figures(FIGURES, rows, base, folder)


def draw_figure_1(rows: list[Row], base: str, folder: Path) -> None:
    """Draw gains over the base: SFT and DPO, on weak and on strong pairs."""
    methods, pairs = distinct(rows, "method"), distinct(rows, "pairs")
    width = 0.8 / max(1, len(pairs))
    label = f"gain over {base} (points), 95% interval"
    with panels(folder, "figure-1", rows, (7, 3.6), label) as parts:
        for axes, own in parts:
            for number, entry in enumerate(pairs):
                shift = (number - (len(pairs) - 1) / 2) * width
                of_pairs = [row for row in own if row["pairs"] == entry]
                points = [(methods.index(row["method"]) + shift, row) for row in of_pairs]
                draw_bars(axes, points, "gain", 0.0, width, number, f"{entry} pairs")
            axes.set_xticks(range(len(methods)), [method.upper() for method in methods])
            axes.axhline(0, color=INK, linewidth=0.8)


def draw_figure_2(rows: list[Row], base: str, folder: Path) -> None:
    """Draw scores by domain against the chosen generator, the weakest first; DPO and KTO."""
    methods, chosen = distinct(rows, "method"), distinct(rows, "chosen")
    with panels(folder, "figure-2", rows, (8, 6), SCORE_LABEL, lines=2) as parts:
        for axes, own in parts:
            for number, method in enumerate(methods):
                shift = 0.08 * (number - (len(methods) - 1) / 2)
                of_method = [row for row in own if row["method"] == method]
                points = [(chosen.index(row["chosen"]) + shift, row) for row in of_method]
                draw_line(axes, points, number, method.upper())
            draw_base(axes, own, base)
            axes.set_xticks(range(len(chosen)), chosen, rotation=20, ha="right")
            axes.set_xlim(-0.4, len(chosen) - 0.6)


def draw_figure_3(rows: list[Row], base: str, folder: Path) -> None:
    """Draw the four combinations of outcomes; bars start at the base's score."""
    pairs = distinct(rows, "pairs")
    with panels(folder, "figure-3", rows, (8, 3.8), SCORE_LABEL) as parts:
        for axes, own in parts:
            start = own[0]["base"] or 0.0
            for number, entry in enumerate(pairs):
                points = [(float(number), row) for row in own if row["pairs"] == entry]
                draw_bars(axes, points, "score", start, 0.7, number, entry.replace("-", " → "))
            draw_base(axes, own, base)
            axes.set_xticks([])
            axes.set_xlim(-0.6, len(pairs) - 0.4)


def draw_figure_4(rows: list[Row], base: str, folder: Path) -> None:
    """Draw scores against the number of pairs, by dimension; random pairs as a band."""
    sizes = [*(k for k in distinct(rows, "k") if k != ALL), ALL]
    # A row of equal pairs in two dimensions is a point of both lines.
    named = dict.fromkeys(by for row in rows for by in entries(row["by"]))
    dimensions = [by for by in named if by != RANDOM]
    with panels(folder, "figure-4", rows, (10, 4.2), SCORE_LABEL) as parts:
        for axes, own in parts:
            points = [(sizes.index(row["k"]), row) for row in own]
            band = [(x, row) for x, row in points if row["by"] == RANDOM]
            draw_band(axes, band, "random pairs, 95% interval")
            for number, by in enumerate(dimensions):
                shift = 0.07 * (number - (len(dimensions) - 1) / 2)
                line = [
                    (x if row["k"] == ALL else x + shift, row)
                    for x, row in points
                    if by in entries(row["by"])
                ]
                draw_line(axes, line, number, by.replace("_", " "))
            draw_intervals(axes, [(x, row) for x, row in points if row["k"] == ALL][:1], INK)
            draw_base(axes, own, base)
            axes.set_xticks(range(len(sizes)), [_thousands(k) for k in sizes])
            axes.set_xlabel("pairs with the largest delta")


def draw_figure_5(rows: list[Row], _base: str, folder: Path) -> None:
    """Draw the overlap (%) of the top-k sets of every two dimensions."""
    names = distinct(rows, "dimension")
    labels = [name.replace("_", "\n") for name in names]
    with panels(folder, "figure-5", rows, (10, 4.4), column="k") as parts:
        for number, (axes, own) in enumerate(parts):
            for row in own:
                _heat_cell(axes, names.index(row["other"]), names.index(row["dimension"]), row)
            axes.set_xlim(-0.5, len(names) - 0.5)
            axes.set_ylim(len(names) - 0.5, -0.5)
            axes.set_aspect("equal")
            chance = own[0]["chance"]
            by_chance = "" if chance is None else f" (by chance {chance:.0f}%)"
            axes.set_title(f"k = {_thousands(str(own[0]['k']))}{by_chance}")
            axes.set_xticks(range(len(names)), labels, rotation=45, fontsize=8)
            axes.set_yticks(range(len(names)), labels if number == 0 else [""] * len(names))
            axes.tick_params(length=0)
            axes.spines[:].set_visible(False)


class PaperFigure(NamedTuple):
    """The title of a figure, and what draws it from its rows and the base's name into a folder."""

    title: str
    draw: Callable[[list[Row], str, Path], None]


def draw_figures(
    figures: Mapping[str, PaperFigure], rows: dict[str, list[Row]], base: str, folder: Path
) -> dict[str, str]:
    """Draw those of `figures` that have rows; return their titles by name."""
    titles = {name: figure.title for name, figure in figures.items() if rows[name]}
    for name in titles:
        figures[name].draw(rows[name], base, folder)
    return titles


FIGURES = {
    "figure-1": PaperFigure("Figure 1: what preferences add to imitation", draw_figure_1),
    "figure-2": PaperFigure("Figure 2: stronger and stronger chosen generators", draw_figure_2),
    "figure-3": PaperFigure("Figure 3: does the outcome matter?", draw_figure_3),
    "figure-4": PaperFigure("Figure 4: few pairs with a large delta", draw_figure_4),
    "figure-5": PaperFigure("Figure 5: do the dimensions select the same pairs?", draw_figure_5),
}


def _heat_cell(axes: Axes, x: int, y: int, row: Row) -> None:
    if row["overlap"] is None:  # there are fewer pairs than k
        return
    fraction = row["overlap"] / 100
    axes.add_patch(Rectangle((x - 0.48, y - 0.48), 0.96, 0.96, color=HEAT(fraction), linewidth=0))
    tone = ON_DARK if fraction > DARK_FROM else ON_LIGHT
    axes.text(x, y, f"{row['overlap']:.0f}", ha="center", va="center", color=tone)


def _thousands(k: str) -> str:
    return f"{int(k):,}" if k.isdigit() else k

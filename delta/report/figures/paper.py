"""Draw the paper's five figures in their original form, with intervals."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.patches import Rectangle

from delta.core.types import Row
from delta.report.figures import style
from delta.report.figures.data import ALL, RANDOM
from delta.report.figures.style import INK, MUTED, SERIES, distinct

TITLES = {"easy": "easy math", "hard": "hard math", "math": "math", "stem": "STEM", "code": "code"}
# White to blue. Numbers in cells have their own dark or light tone, whatever the page's theme.
HEAT = LinearSegmentedColormap.from_list("heat", ["#eef5fb", "#0b4f8a"])
# Not pure black, because Matplotlib writes black without a colour.
ON_LIGHT, ON_DARK, DARK_FROM = "#010101", "#fdfeff", 0.74
SCORE_LABEL = "correct answers (%), 95% interval"

Points = Sequence[tuple[float, Row]]  # x and the row that is drawn there


def draw_all(rows: dict[str, list[Row]], folder: Path) -> None:
    """Draw every figure; `rows` are those of figures.data.build_rows."""
    for name, figure in FIGURES.items():
        figure.draw(rows[name], folder)


def draw_figure_1(rows: list[Row], folder: Path) -> None:
    """Draw gains over the base: SFT and DPO, on weak and on strong pairs."""
    methods, pairs = distinct(rows, "method"), distinct(rows, "pairs")
    width = 0.8 / max(1, len(pairs))
    label = "gain over the base (points), 95% interval"
    with _panels(folder, "figure-1", rows, (7, 3.6), label) as panels:
        for axes, own in panels:
            for number, entry in enumerate(pairs):
                shift = (number - (len(pairs) - 1) / 2) * width
                of_pairs = [row for row in own if row["pairs"] == entry]
                points = [(methods.index(row["method"]) + shift, row) for row in of_pairs]
                _bars(axes, points, "gain", 0.0, width, number, f"{entry} pairs")
            axes.set_xticks(range(len(methods)), [method.upper() for method in methods])
            axes.axhline(0, color=INK, linewidth=0.8)


def draw_figure_2(rows: list[Row], folder: Path) -> None:
    """Draw scores by domain against the chosen generator, the weakest first; DPO and KTO."""
    methods, chosen = distinct(rows, "method"), distinct(rows, "chosen")
    with _panels(folder, "figure-2", rows, (8, 6), SCORE_LABEL, lines=2) as panels:
        for axes, own in panels:
            for number, method in enumerate(methods):
                shift = 0.08 * (number - (len(methods) - 1) / 2)
                of_method = [row for row in own if row["method"] == method]
                points = [(chosen.index(row["chosen"]) + shift, row) for row in of_method]
                _line(axes, points, number, method.upper())
            _base_line(axes, own)
            axes.set_xticks(range(len(chosen)), chosen, rotation=20, ha="right")
            axes.set_xlim(-0.4, len(chosen) - 0.6)


def draw_figure_3(rows: list[Row], folder: Path) -> None:
    """Draw the four combinations of outcomes; bars start at the base's score."""
    pairs = distinct(rows, "pairs")
    with _panels(folder, "figure-3", rows, (8, 3.8), SCORE_LABEL) as panels:
        for axes, own in panels:
            base = own[0]["base"] or 0.0
            for number, entry in enumerate(pairs):
                points = [(float(number), row) for row in own if row["pairs"] == entry]
                _bars(axes, points, "score", base, 0.7, number, entry.replace("-", " → "))
            _base_line(axes, own)
            axes.set_xticks([])
            axes.set_xlim(-0.6, len(pairs) - 0.4)


def draw_figure_4(rows: list[Row], folder: Path) -> None:
    """Draw scores against the number of pairs, by dimension; random pairs as a band."""
    sizes = [*(k for k in distinct(rows, "k") if k != ALL), ALL]
    dimensions = [by for by in distinct(rows, "by") if by != RANDOM]
    with _panels(folder, "figure-4", rows, (10, 4.2), SCORE_LABEL) as panels:
        for axes, own in panels:
            points = [(sizes.index(row["k"]), row) for row in own]
            _band(axes, [(x, row) for x, row in points if row["by"] == RANDOM])
            for number, by in enumerate(dimensions):
                shift = 0.07 * (number - (len(dimensions) - 1) / 2)
                line = [
                    (x if row["k"] == ALL else x + shift, row)
                    for x, row in points
                    if row["by"] == by
                ]
                _line(axes, line, number, by.replace("_", " "))
            _intervals(axes, [(x, row) for x, row in points if row["k"] == ALL][:1], INK)
            _base_line(axes, own)
            axes.set_xticks(range(len(sizes)), [_thousands(k) for k in sizes])
            axes.set_xlabel("pairs with the largest delta")


def draw_figure_5(rows: list[Row], folder: Path) -> None:
    """Draw the overlap (%) of the top-k sets of every two dimensions."""
    names = distinct(rows, "dimension")
    labels = [name.replace("_", "\n") for name in names]
    with _panels(folder, "figure-5", rows, (10, 4.4), column="k") as panels:
        for number, (axes, own) in enumerate(panels):
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
    """The title of a figure, and the function that draws its rows into a folder."""

    title: str
    draw: Callable[[list[Row], Path], None]


FIGURES = {
    "figure-1": PaperFigure("Figure 1: what preferences add to imitation", draw_figure_1),
    "figure-2": PaperFigure("Figure 2: stronger and stronger chosen generators", draw_figure_2),
    "figure-3": PaperFigure("Figure 3: does the outcome matter?", draw_figure_3),
    "figure-4": PaperFigure("Figure 4: few pairs with a large delta", draw_figure_4),
    "figure-5": PaperFigure("Figure 5: do the dimensions select the same pairs?", draw_figure_5),
}


@contextmanager
def _panels(
    folder: Path,
    name: str,
    rows: list[Row],
    size: tuple[float, float],
    y_label: str = "",
    column: str = "domain",
    lines: int = 1,
) -> Iterator[list[tuple[Axes, list[Row]]]]:
    """Yield a panel with its rows for each entry of `column`, then write the figure.

    With a `y_label` the figure also has a legend. Without rows it shows a note.
    """
    entries = distinct(rows, column)
    columns = max(1, -(-len(entries) // lines))
    grid = {"nrows": min(lines, max(1, len(entries))), "ncols": columns, "squeeze": False}
    with style.figure(folder, name, style.PAPER_STYLE, figsize=size, **grid) as (drawing, all_axes):
        panels = list(all_axes.flat)[: len(entries)]
        for axes in list(all_axes.flat)[len(entries) :]:
            axes.set_axis_off()
        if not entries:
            all_axes.flat[0].text(0.5, 0.5, "this profile has no data for it", ha="center")
        for axes, entry in zip(panels, entries, strict=True):
            axes.set_title(TITLES.get(entry, entry))
        yield [
            (axes, [row for row in rows if row[column] == entry])
            for axes, entry in zip(panels, entries, strict=True)
        ]
        if y_label and panels:
            for axes in panels[::columns]:
                axes.set_ylabel(y_label)
            for axes in panels:
                axes.margins(y=0.08)  # after the base's line, which does not widen the axis itself
            handles, labels = panels[0].get_legend_handles_labels()
            columns = len(labels) if len(labels) <= 5 else 4
            drawing.legend(handles, labels, loc="outside lower center", ncols=columns)


def _heat_cell(axes: Axes, x: int, y: int, row: Row) -> None:
    if row["overlap"] is None:  # there are fewer pairs than k
        return
    fraction = row["overlap"] / 100
    axes.add_patch(Rectangle((x - 0.48, y - 0.48), 0.96, 0.96, color=HEAT(fraction), linewidth=0))
    tone = ON_DARK if fraction > DARK_FROM else ON_LIGHT
    axes.text(x, y, f"{row['overlap']:.0f}", ha="center", va="center", color=tone)


def _bars(
    axes: Axes, points: Points, column: str, bottom: float, width: float, number: int, label: str
) -> None:
    """Draw bars. A run without a result leaves a gap."""
    points = [(x, row) for x, row in points if row[column] is not None]
    xs, values = [x for x, _ in points], [row[column] for _, row in points]
    look: dict[str, Any] = {"color": SERIES[number], "hatch": style.HATCHES[number]}
    heights = [value - bottom for value in values]
    axes.bar(xs, heights, width * 0.92, bottom=bottom, label=label, **look)
    _intervals(axes, points, INK)
    axes.plot(xs, values, color=INK, marker=".", linestyle="none")


def _line(axes: Axes, points: Points, number: int, label: str) -> None:
    points = [(x, row) for x, row in points if row["score"] is not None]
    look: dict[str, Any] = {"marker": style.MARKERS[number], "linestyle": style.DASHES[number]}
    look |= {"color": SERIES[number], "linewidth": 1.4, "markersize": 5, "label": label}
    axes.plot([x for x, _ in points], [row["score"] for _, row in points], **look)
    _intervals(axes, points, SERIES[number])


def _intervals(axes: Axes, points: Points, colour: str) -> None:
    for x, row in points:
        axes.plot([x, x], [row["low"], row["high"]], color=colour, linewidth=1, zorder=3)


def _band(axes: Axes, points: Points) -> None:
    points = [(x, row) for x, row in points if row["score"] is not None]
    if not points:
        return
    # Slightly wider than the sizes, because a band over one size would be invisible.
    (first_x, first), (last_x, last) = points[0], points[-1]
    points = [(first_x - 0.2, first), *points, (last_x + 0.2, last)]
    xs = [x for x, _ in points]
    low, high, score = ([row[name] for _, row in points] for name in ("low", "high", "score"))
    label = "random pairs, 95% interval"
    axes.fill_between(xs, low, high, color=MUTED, alpha=0.25, linewidth=0, label=label)
    axes.plot(xs, score, color=MUTED, linewidth=1)


def _base_line(axes: Axes, rows: list[Row]) -> None:
    if rows[0]["base"] is not None:
        axes.axhline(rows[0]["base"], color=INK, linewidth=1, linestyle=":", label="base")


def _thousands(k: str) -> str:
    return f"{int(k):,}" if k.isdigit() else k

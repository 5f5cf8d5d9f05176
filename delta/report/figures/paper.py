"""The paper's five figures in its own form, with intervals, from the rows of figures.data."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from delta.core.types import Row
from delta.report.figures import style
from delta.report.figures.data import ALL, RANDOM
from delta.report.figures.style import DASHES, HATCHES, INK, MARKERS, MUTED, PAPER_STYLE, SERIES

TITLES = {"easy": "easy math", "hard": "hard math", "math": "math", "stem": "STEM", "code": "code"}
# White to blue; a number on it is dark or light by these two tones, never by the page's.
HEAT = LinearSegmentedColormap.from_list("heat", ["#eef5fb", "#0b4f8a"])
# Not quite black: what is black, Matplotlib writes without a colour.
ON_LIGHT, ON_DARK, DARK_FROM = "#010101", "#fdfeff", 0.74
SCORE = "correct answers (%), 95 % interval"


def figure_1(rows: list[Row], target: Path) -> None:
    """Gains over the base: SFT and DPO, on weak and on strong pairs."""
    domains, methods, pairs = (_distinct(rows, name) for name in ("domain", "method", "pairs"))
    width = 0.8 / max(1, len(pairs))
    with _panels(target, "figure-1", domains, 1, (7, 3.6)) as (drawn, panels):
        for axes, domain in zip(panels, domains, strict=True):
            for number, entry in enumerate(pairs):
                own = [
                    (place + (number - (len(pairs) - 1) / 2) * width, row)
                    for row in rows
                    for place, method in enumerate(methods)
                    if (row["domain"], row["pairs"], row["method"]) == (domain, entry, method)
                ]
                _bars(axes, own, "gain", 0.0, width, number, f"{entry} pairs")
            axes.set_xticks(range(len(methods)), [method.upper() for method in methods])
            axes.axhline(0, color=INK, linewidth=0.8)
            axes.set_title(TITLES[domain])
        _label(panels, "gain over the base (points), 95 % interval")
        _legend(drawn, panels)


def figure_2(rows: list[Row], target: Path) -> None:
    """Scores per domain against the chosen generator, the weakest first; DPO and KTO."""
    domains, methods, chosen = (_distinct(rows, name) for name in ("domain", "method", "chosen"))
    with _panels(target, "figure-2", domains, 2, (8, 6)) as (drawn, panels):
        for axes, domain in zip(panels, domains, strict=True):
            for number, method in enumerate(methods):
                own = [row for row in rows if (row["domain"], row["method"]) == (domain, method)]
                shift = 0.08 * (number - (len(methods) - 1) / 2)
                places = [(chosen.index(row["chosen"]) + shift, row) for row in own]
                _line(axes, places, number, method.upper())
            _base(axes, rows, domain)
            axes.set_xticks(range(len(chosen)), chosen, rotation=20, ha="right")
            axes.set_xlim(-0.4, len(chosen) - 0.6)
            axes.set_title(TITLES[domain])
        for axes in panels[::2]:
            axes.set_ylabel(SCORE)
        _legend(drawn, panels)


def figure_3(rows: list[Row], target: Path) -> None:
    """The four combinations of outcomes; bars stand on the base's score."""
    domains, pairs = (_distinct(rows, name) for name in ("domain", "pairs"))
    with _panels(target, "figure-3", domains, 1, (8, 3.8)) as (drawn, panels):
        for axes, domain in zip(panels, domains, strict=True):
            own = [row for row in rows if row["domain"] == domain]
            for number, entry in enumerate(pairs):
                found = [(float(number), row) for row in own if row["pairs"] == entry]
                base = own[0]["base"] or 0.0
                _bars(axes, found, "score", base, 0.7, number, entry.replace("-", " → "))
            _base(axes, rows, domain)
            axes.set_xticks([])
            axes.set_xlim(-0.6, len(pairs) - 0.4)
            axes.set_title(TITLES[domain])
        _label(panels, SCORE)
        _legend(drawn, panels)


def figure_4(rows: list[Row], target: Path) -> None:
    """Scores against the number of pairs, by dimension; random pairs as a band where they ran."""
    domains, sizes = (_distinct(rows, name) for name in ("domain", "k"))
    dimensions = [by for by in _distinct(rows, "by") if by != RANDOM]
    sizes = [*(k for k in sizes if k != ALL), ALL]
    with _panels(target, "figure-4", domains, 1, (10, 4.2)) as (drawn, panels):
        for axes, domain in zip(panels, domains, strict=True):
            own = [row for row in rows if row["domain"] == domain]
            _band(axes, [(sizes.index(row["k"]), row) for row in own if row["by"] == RANDOM])
            for number, by in enumerate(dimensions):
                apart = 0.07 * (number - (len(dimensions) - 1) / 2)
                places = [
                    (sizes.index(row["k"]) + (0 if row["k"] == ALL else apart), row)
                    for row in own
                    if row["by"] == by
                ]
                _line(axes, places, number, by.replace("_", " "))
            _intervals(axes, [(len(sizes) - 1, row) for row in own if row["k"] == ALL][:1], INK)
            _base(axes, rows, domain)
            axes.set_xticks(range(len(sizes)), [_thousands(k) for k in sizes])
            axes.set_xlabel("pairs with the largest delta")
            axes.set_title(TITLES[domain])
        _label(panels, SCORE)
        _legend(drawn, panels, columns=4)


def figure_5(rows: list[Row], target: Path) -> None:
    """Overlap (%) of the top-k sets of each two dimensions."""
    sizes, names = _distinct(rows, "k"), _distinct(rows, "dimension")
    with _panels(target, "figure-5", sizes, 1, (10, 4.4)) as (_, panels):
        for axes, k in zip(panels, sizes, strict=True):
            own = {(row["dimension"], row["other"]): row for row in rows if row["k"] == k}
            for y, one in enumerate(names):
                for x, other in enumerate(names):
                    _heat_cell(axes, x, y, own.get((one, other)))
            axes.set_xlim(-0.5, len(names) - 0.5)
            axes.set_ylim(len(names) - 0.5, -0.5)
            axes.set_aspect("equal")
            chance = next((row["chance"] for row in own.values()), None)
            by_chance = f" (by chance {chance:.0f} %)" if chance is not None else ""
            axes.set_title(f"k = {_thousands(str(k))}{by_chance}")
            labels = [name.replace("_", "\n") for name in names]
            axes.set_xticks(range(len(names)), labels, rotation=45, fontsize=8)
            axes.set_yticks(range(len(names)), labels if axes is panels[0] else [""] * len(names))
            axes.tick_params(length=0)
            axes.spines[:].set_visible(False)


def _heat_cell(axes: Axes, x: int, y: int, row: Row | None) -> None:
    if row is None or row["overlap"] is None:  # the diagonal, or fewer pairs than k
        return
    share = row["overlap"] / 100
    axes.add_patch(Rectangle((x - 0.48, y - 0.48), 0.96, 0.96, color=HEAT(share), linewidth=0))
    tone = ON_DARK if share > DARK_FROM else ON_LIGHT
    axes.text(x, y, f"{row['overlap']:.0f}", ha="center", va="center", color=tone)


@contextmanager
def _panels(
    target: Path, name: str, of: list[Any], lines: int, size: tuple[float, float]
) -> Iterator[tuple[Figure, list[Axes]]]:
    """One picture with a panel for each entry; an empty one where there is none."""
    columns = max(1, -(-len(of) // lines))
    grid = {"nrows": min(lines, max(1, len(of))), "ncols": columns, "squeeze": False}
    with style.figure(target, name, PAPER_STYLE, figsize=size, **grid) as (drawn, all_axes):
        panels = list(all_axes.flat)
        for axes in panels[len(of) :]:
            axes.set_axis_off()
        if not of:
            panels[0].text(0.5, 0.5, "this profile has nothing for it", ha="center")
        yield drawn, panels[: len(of)]


def _distinct(rows: Iterable[Row], name: str) -> list[Any]:
    return list(dict.fromkeys(row[name] for row in rows))


def _bars(
    axes: Axes,
    places: list[tuple[float, Row]],
    name: str,
    bottom: float,
    width: float,
    number: int,
    label: str,
) -> None:
    """What has not run leaves its place empty."""
    there = [(x, row) for x, row in places if row[name] is not None]
    xs, heights = [x for x, _ in there], [row[name] - bottom for _, row in there]
    style: dict[str, Any] = {"color": SERIES[number], "hatch": HATCHES[number], "label": label}
    axes.bar(xs, heights, width * 0.92, bottom=bottom, **style)
    _intervals(axes, there, INK)
    axes.plot(xs, [row[name] for _, row in there], color=INK, marker=".", linestyle="none")


def _line(axes: Axes, places: list[tuple[float, Row]], number: int, label: str) -> None:
    there = [(x, row) for x, row in places if row["score"] is not None]
    xs, values = [x for x, _ in there], [row["score"] for _, row in there]
    style: dict[str, Any] = {"marker": MARKERS[number], "linestyle": DASHES[number]}
    style |= {"color": SERIES[number], "linewidth": 1.4, "markersize": 5}
    axes.plot(xs, values, label=label, **style)
    _intervals(axes, there, SERIES[number])


def _intervals(axes: Axes, places: Sequence[tuple[float, Row]], colour: str) -> None:
    for x, row in places:
        axes.plot([x, x], [row["low"], row["high"]], color=colour, linewidth=1, zorder=3)


def _band(axes: Axes, places: list[tuple[int, Row]]) -> None:
    there = [(x, row) for x, row in places if row["score"] is not None]
    if not there:
        return
    # A little wider than its sizes: a band over one size would be invisible.
    (first, *_), (last, *_) = there[0], there[-1]
    wide = [(first - 0.2, there[0][1]), *there, (last + 0.2, there[-1][1])]
    xs, rows = [x for x, _ in wide], [row for _, row in wide]
    low, high = [row["low"] for row in rows], [row["high"] for row in rows]
    label = "random pairs, 95 % interval"
    axes.fill_between(xs, low, high, color=MUTED, alpha=0.25, linewidth=0, label=label)
    axes.plot(xs, [row["score"] for row in rows], color=MUTED, linewidth=1)


def _base(axes: Axes, rows: list[Row], domain: str) -> None:
    base = next((row["base"] for row in rows if row["domain"] == domain), None)
    if base is not None:
        axes.axhline(base, color=INK, linewidth=1, linestyle=":", label="base")


def _label(panels: list[Axes], text: str) -> None:
    """The first panel speaks for those beside it."""
    for axes in panels[:1]:
        axes.set_ylabel(text)


def _legend(drawn: Figure, panels: list[Axes], columns: int = 5) -> None:
    if panels:
        for axes in panels:
            axes.margins(y=0.08)  # after the base's line, which does not widen the axis itself
        handles, labels = panels[0].get_legend_handles_labels()
        drawn.legend(handles, labels, loc="outside lower center", ncols=columns)


def _thousands(k: str) -> str:
    return f"{int(k):,}" if k.isdigit() else k

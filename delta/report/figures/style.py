"""One style for all figures. Equal input gives equal files, SVG and PNG."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from delta.core.types import Row

# Distinct for readers with a colour vision deficiency (Okabe and Ito), and in grey by marker, dash
# or hatch. In dark mode the page replaces these tones (html.inline_svg), so each has one purpose.
SERIES = ("#0072b2", "#d55e00", "#009e73", "#a2457e", "#8f6b00")
MARKERS = ("o", "s", "^", "D", "v")
DASHES = ("-", "--", "-.", (0, (3, 1, 1, 1, 1, 1)), (0, (6, 2)))
HATCHES = ("//", "", "\\\\", "..", "xx")
INK = "#24292f"
MUTED = "#6e7781"
GRID = "#d8dee4"
BACKGROUND = "#ffffff"
SVG = "http://www.w3.org/2000/svg"
XLINK = "http://www.w3.org/1999/xlink"
TITLE_HEIGHT = 24.0  # points

PAPER_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: it can be searched, and takes the page's colour
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 10,
    "axes.facecolor": BACKGROUND,
    "figure.facecolor": BACKGROUND,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": GRID,
    "hatch.color": BACKGROUND,
    "legend.frameon": False,
    "legend.fontsize": 9,
}


@contextmanager
def figure(
    folder: Path, name: str, style: dict[Any, Any], **subplots: Any
) -> Iterator[tuple[Figure, Any]]:
    """Yield a figure and its axes to draw on, then write `name`.svg and `name`.png."""
    spines: dict[Any, Any] = {f"axes.spines.{side}": False for side in ("top", "right")}
    salt = {"svg.hashsalt": name}  # no random ids; and no date below
    with mpl.rc_context(spines | salt | style):
        drawing, axes = plt.subplots(layout="constrained", **subplots)
        yield drawing, axes
        folder.mkdir(parents=True, exist_ok=True)
        drawing.savefig(folder / f"{name}.svg", metadata={"Date": None})
        drawing.savefig(folder / f"{name}.png", dpi=150)
        plt.close(drawing)


def add_title(figure: Path, title: str) -> str:
    """Return the SVG file `figure` under a line with its title."""
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", XLINK)
    inner = ElementTree.parse(figure).getroot()
    width, height = (float(inner.attrib[side].removesuffix("pt")) for side in ("width", "height"))
    total = height + TITLE_HEIGHT
    size = {"width": f"{width}pt", "height": f"{total}pt", "viewBox": f"0 0 {width} {total}"}
    root = ElementTree.Element(f"{{{SVG}}}svg", size)
    ElementTree.SubElement(root, f"{{{SVG}}}rect", width="100%", height="100%", fill=BACKGROUND)
    centre = {"x": str(width / 2), "y": "17", "text-anchor": "middle"}
    font = {"font-family": "sans-serif", "font-size": "13", "fill": INK}
    ElementTree.SubElement(root, f"{{{SVG}}}text", centre | font).text = title
    inner.attrib |= {"y": str(TITLE_HEIGHT), "width": str(width), "height": str(height)}
    root.append(inner)
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def distinct(rows: Iterable[Row], column: str) -> list[Any]:
    """Return the values of a column, each once, in their order."""
    return list(dict.fromkeys(row[column] for row in rows))

"""A page to draw on: equal input gives equal files, SVG and PNG."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

# Told apart by people who see fewer colours (Okabe and Ito), and by marker, dash or hatch in grey.
# The page puts other tones in their place in dark mode (html.inline_svg), so each is used for
# one thing only.
SERIES = ("#0072b2", "#d55e00", "#009e73", "#a2457e", "#8f6b00")
MARKERS = ("o", "s", "^", "D", "v")
DASHES = ("-", "--", "-.", (0, (3, 1, 1, 1, 1, 1)), (0, (6, 2)))
HATCHES = ("//", "", "\\\\", "..", "xx")
INK = "#24292f"
MUTED = "#6e7781"
GRID = "#d8dee4"
PAPER = "#ffffff"

PAPER_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: it can be searched, and takes the page's colour
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 10,
    "axes.facecolor": PAPER,
    "figure.facecolor": PAPER,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": GRID,
    "hatch.color": PAPER,
    "legend.frameon": False,
    "legend.fontsize": 9,
}


@contextmanager
def figure(
    target: Path, name: str, style: dict[Any, Any], **options: Any
) -> Iterator[tuple[Figure, Any]]:
    spines: dict[Any, Any] = {f"axes.spines.{side}": False for side in ("top", "right")}
    salt = {"svg.hashsalt": name}  # no random ids; and no date below
    with mpl.rc_context(spines | salt | style):
        drawn, axes = plt.subplots(layout="constrained", **options)
        yield drawn, axes
        target.mkdir(parents=True, exist_ok=True)
        drawn.savefig(target / f"{name}.svg", metadata={"Date": None})
        drawn.savefig(target / f"{name}.png", dpi=150)
        plt.close(drawn)

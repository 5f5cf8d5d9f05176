"""Sections of a plan: plain tables and wrapped text of at most 100 columns."""

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

WIDTH = 100


@dataclass
class Section:
    lines: list[str] = field(default_factory=list)
    blocks: list[str] = field(default_factory=list)  # what would stop the run
    not_checked: list[str] = field(default_factory=list)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Align the first column to the left, others to the right, and a last one of words left."""
    lines = [list(header), *map(list, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    is_text = any(" " in line[-1] for line in lines[1:])
    texts = []
    for line in lines:
        cells = [cell.rjust(width) for cell, width in zip(line, widths, strict=True)]
        cells[0] = line[0].ljust(widths[0])
        if is_text:
            cells[-1] = line[-1]
        texts.append(("  " + "  ".join(cells)).rstrip()[:WIDTH])
    return texts


def short(number: float) -> str:
    """Return three digits and a letter: 12,345,678 is 12.3M."""
    for letter, unit in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= unit:
            return f"{number / unit:.{0 if number >= 100 * unit else 1}f}{letter}"
    return f"{number:.0f}"


def hours(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.2f}"


def wrap(text: str) -> list[str]:
    """Return lines of at most WIDTH. A longer word stays whole."""
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent="  ",
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )

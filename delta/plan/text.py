"""Plain tables of at most 100 columns."""

from collections.abc import Iterable, Sequence

WIDTH = 100


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The first column flush left, the others right; the last left too where it holds words."""
    lines = [list(header), *map(list, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    worded = any(" " in line[-1] for line in lines[1:])
    shown = []
    for line in lines:
        cells = [line[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(line[1:-1], widths[1:-1], strict=True)]
        cells.append(line[-1] if worded else line[-1].rjust(widths[-1]))
        shown.append(("  " + "  ".join(cells)).rstrip()[:WIDTH])
    return shown


def short(number: float) -> str:
    """Three digits and a letter: 12,345,678 is 12.3M."""
    for letter, unit in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= unit:
            return f"{number / unit:.{0 if number >= 100 * unit else 1}f}{letter}"
    return f"{number:.0f}"


def hours(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.2f}"


def wrapped(text: str, indent: str = "  ") -> list[str]:
    """Words in lines of at most WIDTH; a longer word stays whole."""
    lines, line = [], indent.rstrip("\n")
    for word in text.split():
        longer = f"{line}{'' if line.isspace() or not line else ' '}{word}"
        if len(longer) > WIDTH and line.strip():
            lines.append(line)
            longer = indent + word
        line = longer
    return [*lines, line]

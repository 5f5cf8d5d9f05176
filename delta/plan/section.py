"""Format the parts of a plan as plain text of at most 100 columns."""

import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

WIDTH = 100


@dataclass
class Section:
    lines: list[str] = field(default_factory=list)
    blocks: list[str] = field(default_factory=list)  # what would stop the run
    not_checked: list[str] = field(default_factory=list)


def align_columns(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Align the first column and a last column of words to the left, others to the right."""
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


def abbreviate(number: float) -> str:
    """Return about three digits and a unit: 12,345,678 is 12.3M."""
    for letter, unit in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= unit:
            return f"{number / unit:.{0 if number >= 100 * unit else 1}f}{letter}"
    return f"{number:.0f}"


def format_hours(number: float) -> str:
    """Return hours with as many digits as a reader needs."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.2f}"


def format_whole(number: float) -> str:
    """Return a number without decimals."""
    return f"{number:,.0f}"


def format_sum(values: Iterable[float | None], text: Callable[[float], str]) -> str:
    """Return the sum of the values that are known, with a "+" if it is only a part."""
    numbers = list(values)
    known = sum(number for number in numbers if number is not None)
    if None not in numbers:
        return text(known)
    return f"{text(known)}+" if known else "?"


def wrap(text: str) -> list[str]:
    """Return lines of at most WIDTH characters; longer words are not split."""
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent="  ",
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def join_sections(sections: Sequence[Section], not_checked: Sequence[str]) -> list[str]:
    """Return the lines of all sections, what could not be checked, and what blocks the run."""
    notes = [*not_checked, *(note for section in sections for note in section.not_checked)]
    blocks = [block for section in sections for block in section.blocks]
    paragraphs = [
        *(section.lines for section in sections),
        _listed("Not checked", notes),
        _listed("Blocking", blocks) or ["Nothing that was checked blocks the run."],
    ]
    return "\n\n".join("\n".join(lines) for lines in paragraphs if lines).split("\n")


def _listed(title: str, notes: Sequence[str]) -> list[str]:
    lines = [line for note in dict.fromkeys(notes) for line in wrap(note)]
    return [title, *lines] if lines else []

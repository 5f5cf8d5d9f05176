"""Say which scores rest on answers that were cut at the token limit.

All shares are in percent of a benchmark's answers, and None where the count is not known.
"""

from collections.abc import Iterable, Mapping
from typing import Any

MAX_CUT = 5.0  # ours: percent; above it a score carries a warning wherever it is shown
MARK, UNKNOWN_MARK = "†", "‡"
NOTES = {
    MARK: (
        f"{MARK} More than {MAX_CUT:g}% of the answers behind this number were cut at the token "
        "limit; a higher limit may change it."
    ),
    UNKNOWN_MARK: (
        f"{UNKNOWN_MARK} It is not known how many of the answers behind this number were cut at "
        "the token limit."
    ),
}

LEGEND = {
    MARK: f"{MARK} over {MAX_CUT:g}% of answers cut",
    UNKNOWN_MARK: f"{UNKNOWN_MARK} cut answers not known",
}


def cut_percent(score: Mapping[str, Any]) -> float | None:
    """Return the share of cut answers of a score of data/counts/evaluate.

    The scores of older results may lack the count.
    """
    cut, questions, samples = (score.get(key) for key in ("truncated", "n", "samples"))
    if cut is None or not questions or not samples:
        return None
    return float(round(100 * cut / (questions * samples), 4))


def largest(shares: Iterable[float | None]) -> float | None:
    """Return the largest share of several scores.

    Where one is not known, the largest is known only if it carries the warning.
    """
    every = list(shares)
    known = [share for share in every if share is not None]
    top = max(known, default=None)
    return top if len(known) == len(every) or mark(top) == MARK else None


def mark(share: float | None) -> str:
    """Return the mark that a number carries; empty if few or no answers behind it were cut."""
    if share is None:
        return UNKNOWN_MARK
    return MARK if share > MAX_CUT else ""


def marked(text: str, share: float | None) -> str:
    """Return the text of a number with its mark."""
    return f"{text} {mark(share)}".rstrip()


def notes(shares: Iterable[float | None], texts: Mapping[str, str] = NOTES) -> list[str]:
    """Return the line that explains each mark of these numbers; LEGEND has shorter `texts`."""
    marks = set(map(mark, shares))
    return [text for symbol, text in texts.items() if symbol in marks]


def describe(shares: Mapping[str, float | None]) -> str:
    """Return the marked benchmarks of one model with their shares; empty if none is marked."""
    cut = [f"{name} {share:.0f}%" for name, share in shares.items() if share and mark(share)]
    unknown = [name for name, share in shares.items() if share is None]
    parts = [f"{MARK} cut at the token limit: {', '.join(cut)}"] if cut else []
    if unknown:
        parts.append(f"{UNKNOWN_MARK} cut answers not known: {', '.join(unknown)}")
    return "; ".join(parts)

"""Change a trace in ways that must not matter: no rating may depend on them."""

import re
import string
import textwrap
from collections.abc import Callable

WIDTH = 60  # characters of a wrapped line
RUBRIC_ORDER = "rubric_order"  # the change of the rubric, not of the trace: the dimensions reversed
# A letter by itself, not within a word, a command of LaTeX, or a contraction ("let's", "I'd").
_VARIABLE = re.compile(r"(?<![A-Za-z\\'’])[b-df-hj-zB-HJ-Z](?![A-Za-z'’])")


def wrap_lines(statement: str, trace: str) -> tuple[str, str]:
    """Break lines that are longer than WIDTH at a space."""
    lines = (
        textwrap.wrap(line, WIDTH, break_long_words=False, break_on_hyphens=False) or [""]
        for line in trace.split("\n")
    )
    return statement, "\n".join(part for parts in lines for part in parts)


def separate_lines(statement: str, trace: str) -> tuple[str, str]:
    """Put an empty line between two lines."""
    return statement, re.sub(r"\n+", "\n\n", trace)


def rename_variables(statement: str, trace: str) -> tuple[str, str]:
    """Give every variable of one letter another letter, in the problem and in the trace.

    Letters move by one among those that occur nowhere, so equal letters stay equal.
    """
    text = f"{statement}\n{trace}"
    used = sorted(set(_VARIABLE.findall(text)))
    letters = set(re.findall(r"(?<![A-Za-z])[A-Za-z](?![A-Za-z])", text)) | set("aeiAEI")
    free = [letter for letter in string.ascii_lowercase if letter not in letters]
    names = dict(zip([letter for letter in used if letter.islower()], free, strict=False))

    def rename(part: str) -> str:
        return _VARIABLE.sub(lambda match: names.get(match[0], match[0]), part)

    return rename(statement), rename(trace)


CHANGES: dict[str, Callable[[str, str], tuple[str, str]]] = {
    "wrapped_lines": wrap_lines,
    "separate_lines": separate_lines,
    "renamed_variables": rename_variables,
}

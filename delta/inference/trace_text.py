"""What a judging model is shown of a trace: without its family's markers, harmless, cut to fit."""

import re
from collections.abc import Callable
from typing import Any

from delta.inference.engine import Engine

# Characters a token at an endpoint, which has the tokenizer: of prose, and of formulas and digits.
PROSE, FORMULAS = 4, 2
STEP = 100  # characters: the search for the longest text that fits stops there

# A tokenizer reads "<|end|>" anywhere as the end of a turn; a tag would end the quotation.
_MARKER = re.compile(r"<(?=\||/?\s*(?:problem|reference|solution|trace)\b)", re.IGNORECASE)


def trace_text(row: dict[str, Any]) -> str:
    """Reasoning and answer of a trace's row (delta.core.schemas.TRACE), a blank line between them.

    The markers around them stay out: they would tell a judge which family wrote the trace.
    """
    reasoning = row["text"][row["reasoning_start"] : row["reasoning_end"]]
    answer = answer_text(row) or ""
    if not reasoning.strip():
        # What parts it from an empty reasoning's marker is no part of the answer.
        return answer.strip() if (row["answer_start"] or 0) > row["reasoning_end"] else answer
    return "\n\n".join(part.strip() for part in (reasoning, answer) if part.strip())


def problem_text(row: dict[str, Any]) -> str:
    """The statement of a problem's row; a conversation turn by turn, each under its role."""
    if not row["history"]:
        statement: str = row["statement"]
        return statement
    turns = [*row["history"], {"role": "user", "content": row["statement"]}]
    return "\n\n".join(f"[{turn['role']}]\n{turn['content']}" for turn in turns)


def answer_text(row: dict[str, Any]) -> str | None:
    """What follows the reasoning; None where the trace was cut before."""
    text: str = row["text"]
    return None if row["answer_start"] is None else text[row["answer_start"] :]


def escape_control_tokens(text: str) -> str:
    """`text` with a space in whatever would end its quotation or a turn of the conversation."""
    return _MARKER.sub("< ", text)


def fits_budget(engine: Engine, prompt: str, text: str, room: int) -> bool:
    """Whether the rendered prompt, which shows `text`, has at most `room` tokens."""
    if len(prompt.encode()) <= room:
        return True  # no token is shorter than a byte; most prompts need no tokenizer
    known = engine.num_tokens(prompt)
    if known is None:
        known = (len(prompt) - len(text)) // PROSE + len(text) // FORMULAS
    return known <= room


def truncate_middle(text: str, fits: Callable[[str], bool]) -> str | None:
    """`text`, or as much of its start and end as fits, with a word on what is left out.

    The middle goes: a trace's end holds its conclusion. None where not even the word fits.
    """
    if fits(text):
        return text
    low, high = 0, len(text)
    if not fits(_without_middle(text, low)):
        return None
    while high - low > STEP:
        kept = (low + high) // 2
        if fits(_without_middle(text, kept)):
            low = kept
        else:
            high = kept
    return _without_middle(text, low)


def _without_middle(text: str, kept: int) -> str:
    start, end = text[: kept - kept // 2], text[len(text) - kept // 2 :]
    return f"{start}\n[... {len(text) - kept} characters left out here ...]\n{end}"

"""The text of a trace in a prompt: without markers, escaped and truncated to fit."""

import re
from collections.abc import Callable
from typing import Any

# Characters per token, assumed where only a server has the tokenizer.
PROMPT_CHARS_PER_TOKEN = 4  # prose
TRACE_CHARS_PER_TOKEN = 2  # formulas and digits
SEARCH_STEP = 100  # characters: precision of the search for the longest text that fits

# A tokenizer reads "<|end|>" anywhere as the end of a turn. A tag would end the quotation.
_MARKUP = re.compile(r"<(?=\||/?\s*(?:problem|reference|solution|trace)\b)", re.IGNORECASE)


def trace_text(row: dict[str, Any]) -> str:
    """Return reasoning and answer of a row of delta.core.schemas.TRACE, a blank line between them.

    The markers are left out, because they would show a judge which model family wrote the trace.
    """
    reasoning = row["text"][row["reasoning_start"] : row["reasoning_end"]]
    answer = answer_text(row) or ""
    if not reasoning.strip():
        # The blank lines after the marker of an empty reasoning are no part of the answer.
        return answer.strip() if (row["answer_start"] or 0) > row["reasoning_end"] else answer
    return "\n\n".join(part.strip() for part in (reasoning, answer) if part.strip())


def problem_text(row: dict[str, Any]) -> str:
    """Return the statement of a problem's row, or all turns where it has a history."""
    if not row["history"]:
        statement: str = row["statement"]
        return statement
    turns = [*row["history"], {"role": "user", "content": row["statement"]}]
    return "\n\n".join(f"[{turn['role']}]\n{turn['content']}" for turn in turns)


def answer_text(row: dict[str, Any]) -> str | None:
    """Return the answer after the reasoning; None where the trace was cut before it."""
    text: str = row["text"]
    return None if row["answer_start"] is None else text[row["answer_start"] :]


def escape_markup(text: str) -> str:
    """Return `text` with a space in all markup that would end its quotation or a turn."""
    return _MARKUP.sub("< ", text)


def truncate_to_fit(
    text: str,
    prompt: Callable[[str], str],
    num_tokens: Callable[[str], int | None],
    max_tokens: int,
) -> str | None:
    """Return `text`, or as much of its start and end as fits around a note on the omission.

    `prompt` returns the rendered prompt that quotes a text, which may have `max_tokens` tokens.
    `num_tokens` counts them, or returns None where only a server can. The middle is dropped, since
    the conclusion of a trace is at its end. Returns None where not even the note fits.
    """

    def fits(text: str) -> bool:
        rendered = prompt(text)
        if len(rendered.encode()) <= max_tokens:
            return True  # no token is shorter than a byte; most prompts need no tokenizer
        number = num_tokens(rendered)
        if number is None:
            frame = len(rendered) - len(text)
            number = frame // PROMPT_CHARS_PER_TOKEN + len(text) // TRACE_CHARS_PER_TOKEN
        return number <= max_tokens

    if fits(text):
        return text
    low, high = 0, len(text)
    if not fits(_without_middle(text, low)):
        return None
    while high - low > SEARCH_STEP:
        kept = (low + high) // 2
        if fits(_without_middle(text, kept)):
            low = kept
        else:
            high = kept
    return _without_middle(text, low)


def _without_middle(text: str, kept: int) -> str:
    start, end = text[: kept - kept // 2], text[len(text) - kept // 2 :]
    return f"{start}\n[... {len(text) - kept} characters left out here ...]\n{end}"

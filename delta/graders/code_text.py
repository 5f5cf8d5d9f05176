"""The program in an answer: its last block of code, or for HumanEval an answer that is code."""

import re
import textwrap

FENCE = re.compile(r"^([ \t]*)```+[ \t]*([^\s`]*)[^`]*$")
LANGUAGES = ("", "python", "py", "python3")
BLANK_LINES = re.compile(r"(?:[ \t]*\r?\n)*")
# Prose may start with "From" or one space, but not like this.
CODE_STARTS = re.compile(r"(?:    |\t)[ \t]*\S|(?:async def|def|import|from|class) \w|@\w|\w+ = ")


def last_block(answer: str, cut: bool) -> str | None:
    """The last fenced block with no language named or with Python; None where there is none.

    A last block that nothing closes goes to the end of the answer, unless the answer was cut.
    """
    found, opened, lines = None, None, list[str]()
    for line in answer.replace("\r\n", "\n").split("\n"):
        fence = FENCE.match(line)
        if fence and (opened is None or fence[2]):
            opened, lines = fence, []
        elif fence and opened:
            found = _block(opened, lines) or found
            opened = None
        elif opened:
            lines.append(line)
    if opened and not cut:
        found = _block(opened, lines) or found
    return found


def _block(opened: re.Match[str], lines: list[str]) -> str | None:
    if opened[2].lower() not in LANGUAGES:
        return None
    # Without the fence's own indentation, as in a list; the indentation of a body stays.
    return "\n".join(line.removeprefix(opened[1]) for line in lines) + "\n"


def bare_code(answer: str) -> str | None:
    """An answer that is itself code, or the indented body of a function; None for anything else."""
    text = BLANK_LINES.sub("", answer, count=1).rstrip()
    return text + "\n" if CODE_STARTS.match(text) else None


def completed(prompt: str, function: str, code: str) -> tuple[str, ...]:
    """The texts to run for a HumanEval prompt: `code` is the whole function or only its body.

    The prompt is run also before a whole function, for its imports and the functions it defines;
    it ends with a docstring and so is valid by itself.
    """
    if re.search(rf"^(?:async )?def {re.escape(function)}\b", code, re.MULTILINE):
        return prompt, code
    first = next((line for line in code.split("\n") if line.strip()), "")
    body = code if first[:1].isspace() else textwrap.indent(code, "    ")
    return (prompt.rstrip() + "\n" + body,)

r"""Find the boxed answer of a text: its last box, or the last few that words join."""

import re

BOX = re.compile(r"\\(?:boxed|fbox|framebox)\s*\{")
MAX_ANSWER = 1_000  # characters; nothing longer is an answer, and parsers are slow on it
MAX_JOIN = 60  # characters between two boxes that are one answer
JOINING_WORDS = re.compile(
    r"(?:,|;|&|\\text(?:rm|bf)?\s*\{\s*,?\s*(?:and|or)\s*\}|and|or)+(?:(?:\\?\w+(?:_\{?\w+\}?)?|\(\w+,\w+\))=)?"
)


def last_box(text: str) -> str | None:
    r"""Return the content of the last balanced \boxed{…}; None where there is none.

    Math-Verify would merge all boxes of a text into a set, so an answer that corrects itself from
    \boxed{7} to \boxed{8} would be wrong. Without a box it would guess from numbers in the text.
    """
    for start in reversed([box.end() for box in BOX.finditer(text)]):
        if (end := closing_brace(text, start)) is not None:
            return text[start:end].strip()
    return None


def joined_boxes(text: str) -> list[str]:
    r"""Return the contents of the last box and of those that "and", "or" or a comma joins to it.

    "\boxed{2} or \boxed{3}" answers 2 and 3. Equal boxes count once.
    """
    contents: list[str] = []
    start = len(text)  # of the last box that was read
    for box in reversed(list(BOX.finditer(text))):
        end = closing_brace(text, box.end())
        if end is None or end >= start:
            continue  # not closed, or encloses the box that was read
        if contents:
            between = text[end + 1 : start]
            if len(between) > MAX_JOIN or not JOINING_WORDS.fullmatch(_without_blanks(between)):
                break
        contents.append(text[box.end() : end].strip())
        start = box.start()
    return list(dict.fromkeys(reversed(contents)))


def closing_brace(text: str, start: int) -> int | None:
    """Return the index where the brace before `start` closes; None if beyond MAX_ANSWER."""
    depth, escaped = 1, False
    for index in range(start, min(len(text), start + MAX_ANSWER)):
        character = text[index]
        if escaped:
            escaped = False
        elif character == "\\":
            escaped = True
        elif character == "{":
            depth += 1
        elif character == "}":
            depth -= 1
            if depth == 0:
                return index
    return None


def _without_blanks(text: str) -> str:
    return re.sub(r"\\q?quad(?![a-z])|\\[ ,;:()\[\]]|[\s$~]", "", text).lower()

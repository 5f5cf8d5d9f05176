"""Why a request got no reply: a class that metrics count, and one line that is safe to show.

What a server says is text of a stranger. It may be gigabytes, command a terminal or repeat the key
that was sent to it, so every reason is made here and nowhere else.
"""

import base64
import html
import os
import re
import unicodedata
from typing import NamedTuple
from urllib.parse import unquote

LONGEST_REASON = 200  # characters
LONGEST_READ = 4_096  # characters of what was said that are looked at
DECODINGS = 4  # an escape may be escaped itself
PART = 6  # characters of a key that tell it from other text; 4 at its ends, which servers show
END = 4
LONG_KEY = 16  # characters from which on the ends alone do not give the key away
_HIDDEN: set[str] = set()  # further names of environment variables that hold keys
SECRET_NAME = re.compile(r"(?:KEY|TOKEN|SECRET|PASSWORD)$")
_ESCAPE = re.compile(r"\\u\{?([0-9a-fA-F]{4})\}?|\\x([0-9a-fA-F]{2})|\\([nrt/\"])")


class Failure(NamedTuple):
    """No reply came, and why. It is kept nowhere, so that the next run asks again."""

    reason: str  # one line
    kind: str  # one of few: "HTTP 400", "timeout"; what metrics count


def hide(name: str) -> None:
    """Take the value of this environment variable out of everything that is said from here on."""
    _HIDDEN.add(name)


def failure(kind: str, said: str = "", attempts: int = 1) -> Failure:
    """Return the failure of a request that was tried so often, the last time in vain by `said`."""
    suffix = f", after {attempts} attempts" if attempts > 1 else ""
    said = safe_line(said, LONGEST_REASON - len(f"{kind}: {suffix}"))
    return Failure((f"{kind}: {said}" if said else kind) + suffix, kind)


def safe_line(text: str | bytes, longest: int = LONGEST_REASON) -> str:
    """Return `text` as one line without control characters and without any key of ours.

    Escapes of JSON, URLs and HTML are decoded first, since a key may hide in them. A key is the
    value of an environment variable that `hide` has named or whose name ends in KEY, TOKEN, SECRET
    or PASSWORD; it is taken out whole and in parts, in any case, with blanks in
    between, in hexadecimal and in base64.
    """
    if isinstance(text, bytes):
        text = text[: 4 * LONGEST_READ].decode(errors="replace")
    text = _decoded(text[:LONGEST_READ])
    for name, value in os.environ.items():
        if name in _HIDDEN or SECRET_NAME.search(name):
            text = _without(text, value, f"${name}")
    line = "".join(letter if letter.isprintable() else " " for letter in text)
    line = " ".join(line.split())
    return line if len(line) <= longest else line[: longest - 3] + "..."


def _decoded(text: str) -> str:
    for _ in range(DECODINGS):
        plain = html.unescape(unquote(_ESCAPE.sub(_letter, text)))
        if plain == text:
            break
        text = plain
    return text


def _letter(escape: re.Match[str]) -> str:
    if escape[3]:
        return escape[3] if escape[3] in '/"' else " "
    return chr(int(escape[1] or escape[2], 16))


def _without(text: str, secret: str, name: str) -> str:
    """Return `text` with `name` where `secret`, another spelling of it or a part of one stood."""
    places: list[int] = []  # in `text`, of every letter that is compared
    letters = ""
    for place, letter in enumerate(text):
        compared = _compared(letter)
        letters += compared
        places += [place] * len(compared)
    hidden = [False] * len(text)
    for part in _parts(secret):
        start = letters.find(part)
        while start >= 0:
            first, last = places[start], places[start + len(part) - 1]
            hidden[first : last + 1] = [True] * (last + 1 - first)
            start = letters.find(part, start + 1)
    shown: list[str] = []
    for place, letter in enumerate(text):
        if not hidden[place]:
            shown.append(letter)
        elif place == 0 or not hidden[place - 1]:
            shown.append(name)
    return "".join(shown)


def _compared(letter: str) -> str:
    """Return nothing for blanks and control characters, else the letter in lower case."""
    if letter.isspace() or not letter.isprintable():
        return ""
    return unicodedata.normalize("NFKC", letter).lower()


def _parts(secret: str) -> set[str]:
    code = secret.encode(errors="surrogateescape")
    # Base64 of a text depends on where it begins within three bytes; what is shared with the bytes
    # around it is left out.
    spellings = [secret, code.hex()] + [
        base64.b64encode(bytes(before) + code).decode().rstrip("=")[-(-4 * before // 3) : -1]
        for before in range(3)
    ]
    parts: set[str] = set()
    for spelling in spellings:
        plain = "".join(map(_compared, spelling))
        if len(plain) >= END:
            size = min(PART, len(plain))
            parts |= {plain[i : i + size] for i in range(len(plain) - size + 1)}
    if len(secret) >= LONG_KEY:
        plain = "".join(map(_compared, secret))
        parts |= {plain[:END], plain[-END:]}
    return parts

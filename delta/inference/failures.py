"""Failures of requests: a class that metrics count, and one line that is safe to show.

A server's message is untrusted text. It may have gigabytes, contain escape sequences for a
terminal, or repeat the key that was sent. So every reason of a failure is made here.
"""

import base64
import html
import os
import re
import unicodedata
from urllib.parse import unquote

from delta.inference.types import Failure

MAX_REASON_CHARS = 200
MAX_SCANNED_CHARS = 4_096  # of a message
MAX_DECODINGS = 4  # an escape may itself be escaped
FRAGMENT_CHARS = 6  # of a key: long enough not to occur in other text
END_CHARS = 4  # at a key's start and end, which servers like to show
MIN_LONG_KEY_CHARS = 16  # the two ends of a shorter key would reveal it
SECRET_NAME = re.compile(r"(?:KEY|TOKEN|SECRET|PASSWORD)$")
_HIDDEN_VARIABLES: set[str] = set()
_ESCAPE = re.compile(r"\\u\{?([0-9a-fA-F]{4})\}?|\\x([0-9a-fA-F]{2})|\\([nrt/\"])")


def hide_variable(name: str) -> None:
    """Hide the value of this environment variable in all later messages."""
    _HIDDEN_VARIABLES.add(name)


def make_failure(kind: str, message: str = "", attempts: int = 1) -> Failure:
    """Return the failure of a request after `attempts`, of which the last ended with `message`."""
    suffix = f", after {attempts} attempts" if attempts > 1 else ""
    message = safe_line(message, MAX_REASON_CHARS - len(f"{kind}: {suffix}"))
    return Failure((f"{kind}: {message}" if message else kind) + suffix, kind)


def safe_line(text: str | bytes, max_chars: int = MAX_REASON_CHARS) -> str:
    """Return `text` as one line without control characters and without any of our keys.

    A key is the value of an environment variable that `hide_variable` named, or whose name ends in
    KEY, TOKEN, SECRET or PASSWORD. Keys and parts of them are replaced, also in another case, with
    blanks between, in hexadecimal or in base64. JSON, URL and HTML escapes are decoded first.
    """
    if isinstance(text, bytes):
        text = text[: 4 * MAX_SCANNED_CHARS].decode(errors="replace")
    text = _unescape(text[:MAX_SCANNED_CHARS])
    for name, value in os.environ.items():
        if name in _HIDDEN_VARIABLES or SECRET_NAME.search(name):
            text = _replace_secret(text, value, f"${name}")
    line = "".join(char if char.isprintable() else " " for char in text)
    line = " ".join(line.split())
    return line if len(line) <= max_chars else line[: max_chars - 3] + "..."


def _unescape(text: str) -> str:
    for _ in range(MAX_DECODINGS):
        decoded = html.unescape(unquote(_ESCAPE.sub(_unescaped_char, text)))
        if decoded == text:
            break
        text = decoded
    return text


def _unescaped_char(escape: re.Match[str]) -> str:
    if escape[3]:
        return escape[3] if escape[3] in '/"' else " "
    return chr(int(escape[1] or escape[2], 16))


def _replace_secret(text: str, secret: str, name: str) -> str:
    """Return `text` with `name` in place of the secret, its other spellings and their parts."""
    positions: list[int] = []  # in `text`, of each normalized character
    normalized = ""
    for position, char in enumerate(text):
        plain = _normalize(char)
        normalized += plain
        positions += [position] * len(plain)
    hidden = [False] * len(text)
    for fragment in _fragments(secret):
        start = normalized.find(fragment)
        while start >= 0:
            first, last = positions[start], positions[start + len(fragment) - 1]
            hidden[first : last + 1] = [True] * (last + 1 - first)
            start = normalized.find(fragment, start + 1)
    parts: list[str] = []
    for position, char in enumerate(text):
        if not hidden[position]:
            parts.append(char)
        elif position == 0 or not hidden[position - 1]:
            parts.append(name)
    return "".join(parts)


def _normalize(char: str) -> str:
    """Return the character in lower case; nothing for blanks and control characters."""
    if char.isspace() or not char.isprintable():
        return ""
    return unicodedata.normalize("NFKC", char).lower()


def _fragments(secret: str) -> set[str]:
    code = secret.encode(errors="surrogateescape")
    # Base64 depends on the position modulo three bytes. Characters that also encode a neighbouring
    # byte are left out.
    spellings = [secret, code.hex()] + [
        base64.b64encode(bytes(before) + code).decode().rstrip("=")[-(-4 * before // 3) : -1]
        for before in range(3)
    ]
    fragments: set[str] = set()
    for spelling in spellings:
        plain = "".join(map(_normalize, spelling))
        if len(plain) >= END_CHARS:
            size = min(FRAGMENT_CHARS, len(plain))
            fragments |= {plain[i : i + size] for i in range(len(plain) - size + 1)}
    if len(secret) >= MIN_LONG_KEY_CHARS:
        plain = "".join(map(_normalize, secret))
        fragments |= {plain[:END_CHARS], plain[-END_CHARS:]}
    return fragments

"""JSON as the standard has it. Python's own reader takes NaN for a number, the last of two equal
names, and half of a character that takes two; each of them has made a wrong number of something."""

import json
from typing import Any


def loads(text: str | bytes) -> Any:
    """The value. ValueError for whatever is not JSON, names something twice, is nested too deeply
    to be read, or holds text that no table can."""
    try:
        found = json.loads(text, parse_constant=_no_number, object_pairs_hook=_named_once)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if (b"\\u" in text) if isinstance(text, bytes) else ("\\u" in text or not text.isascii()):
        json.dumps(found, ensure_ascii=False).encode()  # a UnicodeEncodeError is a ValueError
    return found


def check_unique(names: list[str]) -> None:
    """ValueError where two are equal."""
    if len(set(names)) < len(names):
        double = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"it has {double!r} twice; keep one")


def _no_number(constant: str) -> float:
    raise ValueError(f"it holds {constant}, which is no JSON number")


def _named_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    check_unique([name for name, _ in pairs])
    return dict(pairs)

"""Read JSON strictly by its standard.

Python's reader accepts NaN and half of a surrogate pair, and keeps the last of two equal names.
Each of these has caused a wrong number.
"""

import json
from typing import Any


def loads(text: str | bytes) -> Any:
    """Return the value of `text`.

    Raises ValueError where it is not JSON, has a name twice, is nested too deeply, or has
    characters that UTF-8 cannot encode.
    """
    try:
        value = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_to_dict)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if (b"\\u" in text) if isinstance(text, bytes) else ("\\u" in text or not text.isascii()):
        json.dumps(value, ensure_ascii=False).encode()  # a UnicodeEncodeError is a ValueError
    return value


def check_unique(names: list[str]) -> None:
    """Raise ValueError where two names are equal."""
    if len(set(names)) < len(names):
        repeated = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"it has {repeated!r} twice; keep one")


def _refuse_constant(constant: str) -> float:
    raise ValueError(f"it holds {constant}, which is no JSON number")


def _to_dict(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    check_unique([name for name, _ in pairs])
    return dict(pairs)

"""The tests of a program as one string, and LiveCodeBench's own packed column, read without trust.

LiveCodeBench keeps private tests as JSON or as base64 of zlib of a *pickle* of JSON. Unpickling can
run any code, so nothing is unpickled here: the pickle's instructions are listed, and only those
that spell one string are allowed.
"""

import base64
import binascii
import json
import pickletools
import zlib
from typing import Any

Test = dict[str, str]  # {"input": ..., "output": ...}
MAX_BYTES = 1 << 30  # unpacked; the largest real problem is far below, a zip bomb far above
# What a pickle of one string consists of, over all protocols; "memoize" and its like store it for
# later use and change nothing.
STRINGS = ("UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8")
HARMLESS = ("PROTO", "FRAME", "PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE", "STOP")


def pack(tests: list[Test]) -> str:
    text = json.dumps(tests, ensure_ascii=False, separators=(",", ":"))
    return base64.b64encode(zlib.compress(text.encode("utf-8", "surrogatepass"))).decode("ascii")


def unpack(packed: str) -> list[Test]:
    """The tests that `pack` was given; ValueError where the text is something else."""
    return _tests(_json(_inflated(packed)))


def read_livecodebench(text: str) -> list[Test]:
    """LiveCodeBench's `private_test_cases` (and `public_test_cases`, which is plain JSON)."""
    if text.lstrip().startswith("["):
        return _tests(_json(text.encode("utf-8", "surrogatepass")))
    return _tests(_json(_pickled_string(_inflated(text)).encode("utf-8", "surrogatepass")))


def _inflated(text: str) -> bytes:
    stream = zlib.decompressobj()
    try:
        content = stream.decompress(base64.b64decode(text, validate=True), MAX_BYTES)
    except (binascii.Error, zlib.error) as error:
        raise ValueError(f"packed tests: not base64 of zlib ({error})") from error
    if not stream.eof:
        raise ValueError(f"packed tests: cut short, or more than {MAX_BYTES} bytes unpacked")
    return content


def _pickled_string(content: bytes) -> str:
    found: list[str] = []
    try:
        for instruction, argument, _ in pickletools.genops(content):
            if instruction.name in STRINGS:
                found.append(str(argument))
            elif instruction.name not in HARMLESS:
                raise ValueError(f"{instruction.name} in a pickle that should be one string")
    except (ValueError, UnicodeDecodeError) as error:
        raise ValueError(f"packed tests: {error}") from error
    if len(found) != 1:
        raise ValueError(f"packed tests: a pickle of {len(found)} strings, allowed: one")
    return found[0]


def _json(content: bytes) -> Any:
    try:
        return json.loads(content.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"packed tests: not JSON ({error})") from error


def _tests(content: Any) -> list[Test]:
    if not isinstance(content, list):
        raise ValueError(f"packed tests: {type(content).__name__}, allowed: a list")
    for number, test in enumerate(content):
        if not isinstance(test, dict) or not all(
            isinstance(test.get(key), str) for key in ("input", "output")
        ):
            raise ValueError(f"packed tests: test {number} has no texts `input` and `output`")
    return [{"input": test["input"], "output": test["output"]} for test in content]

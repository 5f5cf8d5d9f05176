"""Pack a program's tests into a string, and read LiveCodeBench's packed columns without unpickling.

LiveCodeBench keeps private tests as JSON, or as base64 of zlib of a pickle of JSON. Unpickling can
run any code. So the pickle's instructions are only listed, and must be those of a single string.
"""

import base64
import binascii
import json
import pickletools
import zlib
from typing import Any

Test = dict[str, str]  # {"input": ..., "output": ...}
MAX_BYTES = 1 << 30  # unpacked; the largest real problem is far below, a zip bomb far above
# The instructions in a pickle of one string, in all protocols.
STRINGS = ("UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8")
HARMLESS = ("PROTO", "FRAME", "PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE", "STOP")


def pack(tests: list[Test]) -> str:
    """Return the tests as base64 of zlib of JSON."""
    text = json.dumps(tests, ensure_ascii=False, separators=(",", ":"))
    return base64.b64encode(zlib.compress(text.encode("utf-8", "surrogatepass"))).decode("ascii")


def unpack(packed: str) -> list[Test]:
    """Return the tests in a text from `pack`. Raises ValueError for any other text."""
    return _parse_tests(_inflate(packed))


def read_livecodebench(text: str) -> list[Test]:
    """Return the tests of LiveCodeBench's public or private column. Raises ValueError."""
    if not text.lstrip().startswith("["):
        text = _pickled_string(_inflate(text))
    return _parse_tests(text.encode("utf-8", "surrogatepass"))


def _inflate(text: str) -> bytes:
    stream = zlib.decompressobj()
    try:
        content = stream.decompress(base64.b64decode(text, validate=True), MAX_BYTES)
    except (binascii.Error, zlib.error) as error:
        raise ValueError(f"packed tests: not base64 of zlib ({error})") from error
    if not stream.eof:
        raise ValueError(f"packed tests: cut short, or more than {MAX_BYTES} bytes unpacked")
    return content


def _pickled_string(content: bytes) -> str:
    strings: list[str] = []
    try:
        for instruction, argument, _ in pickletools.genops(content):
            if instruction.name in STRINGS:
                strings.append(str(argument))
            elif instruction.name not in HARMLESS:
                raise ValueError(f"{instruction.name} in a pickle that should be one string")
    except (ValueError, UnicodeDecodeError) as error:
        raise ValueError(f"packed tests: {error}") from error
    if len(strings) != 1:
        raise ValueError(f"packed tests: a pickle of {len(strings)} strings, expected one")
    return strings[0]


def _parse_tests(content: bytes) -> list[Test]:
    try:
        tests = json.loads(content.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"packed tests: not JSON ({error})") from error
    if not isinstance(tests, list):
        raise ValueError(f"packed tests: {type(tests).__name__}, expected a list")
    return [_parse_test(number, test) for number, test in enumerate(tests)]


def _parse_test(number: int, test: Any) -> Test:
    match test:
        case {"input": str(text), "output": str(output)}:
            return {"input": text, "output": output}
    raise ValueError(f"packed tests: test {number} has no texts `input` and `output`")

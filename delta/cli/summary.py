"""Print the scores of the last run and where its pictures are; `make repro` ends here."""

from delta.cli import command_line
from delta.core import paths
from delta.core.errors import InputError


def main() -> None:
    if not paths.SCORES.is_file():
        raise InputError(f"{paths.SCORES}: no such file; run `make repro` first")
    print(paths.SCORES.read_text(encoding="utf-8"))
    print("Pictures:")
    for picture in sorted(paths.REPORT.glob("*.svg")):
        print(f"  {picture.resolve()}")


def start() -> None:
    command_line.parse_no_arguments(__doc__)
    command_line.run(main)

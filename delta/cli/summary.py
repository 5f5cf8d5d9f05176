"""Print the scores of the last run and the paths of its figures. `make repro` ends with this."""

from delta.cli import command_line
from delta.core import paths
from delta.core.errors import InputError


def main() -> None:
    if not paths.SCORES.is_file():
        raise InputError(f"{paths.SCORES}: no such file; run `make repro` first")
    print(paths.SCORES.read_text(encoding="utf-8"))
    print("Figures:")
    for figure in sorted(paths.REPORT.glob("*.svg")):
        print(f"  {figure.resolve()}")


def start() -> None:
    command_line.parse_no_arguments(__doc__)
    command_line.run(main)

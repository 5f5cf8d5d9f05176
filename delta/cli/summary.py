"""Print the scores of the last run and the paths of its figures. `make repro` ends with this."""

import argparse

from delta.core import paths
from delta.core.errors import InputError


def main(_options: argparse.Namespace) -> None:
    if not paths.SCORES.is_file():
        raise InputError(f"{paths.SCORES}: no such file; run `make repro` first")
    print(paths.SCORES.read_text(encoding="utf-8"))
    print("Figures:")
    for figure in sorted(paths.FIGURES.glob("*.svg")):
        print(f"  {figure.resolve()}")

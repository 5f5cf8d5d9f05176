"""Print what the last run taught, its scores, and the paths of its figures. Runs nothing."""

import argparse

from delta.core import paths
from delta.core.errors import InputError
from delta.report.this_run import read_summary, to_markdown


def main(_options: argparse.Namespace) -> None:
    if not paths.SUMMARY.is_file():
        raise InputError(f"{paths.SUMMARY}: no such file; run `make repro` first")
    run = read_summary()
    print(f"{run.sentence}\n\n{to_markdown(run.comparisons)}\n\nFigures:")
    for figure in sorted(paths.FIGURES.glob("*.svg")):
        print(f"  {figure.resolve()}")

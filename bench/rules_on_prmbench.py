"""Measure the rule judge on PRMBench: right solutions and the same ones with a planted fault.

    python -m bench.rules_on_prmbench PATH_TO_prmbench.zip

A file of the archive holds the rows of one class of fault. A row is a pair of solutions of one
question (Song et al. 2025, arXiv 2501.03124). Printed is the mean of clean minus faulty by class
and dimension, over the pairs in which both solutions have votes, whose share is in brackets. A star
marks p < 0.05 of the paired t-test, corrected over all cells (Holm).
"""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from bench import results
from bench.rules_on_gsm8k import VOTES, mean_vote
from delta.judging.rubric import DIMENSIONS
from delta.judging.rules.rate import rate
from delta.stats.multiple_testing import holm

Array = NDArray[np.float64]


def read_classes(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of each class of fault."""
    classes: dict[str, list[dict[str, Any]]] = {}
    with zipfile.ZipFile(path) as archive:
        for name in sorted(archive.namelist()):
            for line in archive.read(name).decode().split("\n"):
                if line:
                    row = json.loads(line)
                    classes.setdefault(row["classification"], []).append(row)
    return classes


def scores(statement: str, steps: list[str]) -> list[float]:
    """Return the mean vote in each dimension; NaN where there is no vote."""
    return [mean_vote(votes) for votes in rate(statement, "\n".join(steps), VOTES).values()]


def differences(rows: list[dict[str, Any]]) -> Array:
    """Return clean minus faulty, by row and dimension."""
    return np.array(
        [
            np.subtract(
                scores(row["original_question"], row["original_process"]),
                scores(row["modified_question"], row["modified_process"]),
            )
            for row in rows
        ]
    )


def main() -> None:
    parser = results.argument_parser(__doc__)
    parser.add_argument("file", type=Path, help="the archive")
    classes = read_classes(parser.parse_args().file)
    by_class = {name: differences(rows) for name, rows in classes.items()}
    cells = [column[np.isfinite(column)] for each in by_class.values() for column in each.T]
    p_values = [stats.ttest_1samp(cell, 0).pvalue if cell.std() else 1.0 for cell in cells]
    is_seen = np.array(holm(p_values)).reshape(len(by_class), -1) < 0.05
    print(f"| class | pairs | {' | '.join(DIMENSIONS)} |")
    print("|---" * (2 + len(DIMENSIONS)) + "|")
    for (name, each), seen in zip(by_class.items(), is_seen, strict=True):
        texts = [
            f"{np.nanmean(column):.2f}{'*' * int(star)} ({np.isfinite(column).mean():.0%})"
            for column, star in zip(each.T, seen, strict=True)
        ]
        print(f"| {name} | {len(each)} | {' | '.join(texts)} |")


if __name__ == "__main__":
    main()

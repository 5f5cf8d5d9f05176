"""Measure the rule judge on PRMBench: right solutions and the same ones with a planted fault.

    python -m bench.rules_on_prmbench PATH_TO_prmbench.zip

A file of the archive holds the rows of one class of fault. A row is a pair of solutions of one
question (Song et al. 2025, arXiv 2501.03124). Printed for each class is the mean of clean minus
faulty, in the mean of the dimensions that both solutions have votes in, and in each dimension;
p-values are those of the paired t-test of that mean, corrected over the classes (Holm).
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
    means = {name: np.nanmean(each, 1) for name, each in by_class.items()}
    p_values = [stats.ttest_1samp(mean, 0).pvalue for mean in means.values()]
    print(f"| class | pairs | mean | p (Holm) | {' | '.join(DIMENSIONS)} |")
    print("|---" * (4 + len(DIMENSIONS)) + "|")
    for (name, each), p_value in zip(by_class.items(), holm(p_values), strict=True):
        cells = [
            f"{np.nanmean(column):.2f} ({np.isfinite(column).mean():.0%})" for column in each.T
        ]
        mean = means[name]
        half = 1.96 * mean.std(ddof=1) / np.sqrt(len(mean))
        text = f"{mean.mean():.3f} ± {half:.3f}"
        print(f"| {name} | {len(each)} | {text} | {p_value:.3f} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()

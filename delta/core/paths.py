"""Where every stage's files lie, and how its counts are written for `dvc metrics`."""

import json
import shutil
from pathlib import Path
from typing import Any

DATA = Path("data")
METRICS = Path("metrics")
REPORT = Path("report")
RUNS = METRICS / "runs"  # results of experiments, in Git
SCORES = REPORT / "scores.md"
POLICY = "policy"  # the trained model's name among the models

PROBLEMS = DATA / "problems.parquet"
DROPPED = DATA / "dropped_problems.parquet"
PAIRS = DATA / "pairs.parquet"
SELECTED = DATA / "selected.parquet"
HISTORY = METRICS / "training.tsv"
HELD_OUT = METRICS / "held_out.tsv"


def model(name: str) -> Path:
    return DATA / "models" / name


def recording(name: str) -> Path:
    return model(name) / "recording.parquet"


def questions(benchmark: str) -> Path:
    return DATA / "questions" / f"{benchmark}.parquet"


def traces(generator: str) -> Path:
    return DATA / "traces" / f"{generator}.parquet"


def verdicts(generator: str) -> Path:
    return DATA / "verdicts" / f"{generator}.parquet"


def ratings(generator: str) -> Path:
    return DATA / "ratings" / f"{generator}.parquet"


def second_ratings(generator: str) -> Path:
    return DATA / "second" / f"{generator}.parquet"


def answer_folder(model_name: str) -> Path:
    return DATA / "answers" / model_name


def answers(model_name: str, benchmark: str) -> Path:
    return answer_folder(model_name) / f"{benchmark}.parquet"


def score(model_name: str) -> Path:
    """Of all benchmarks."""
    return METRICS / "evaluate" / f"{model_name}.json"


def write_counts(path: Path, counts: dict[str, Any], *keys: str) -> None:
    """`counts` as JSON under nested `keys`: unique over all files, as `dvc exp show` wants them."""
    nested: dict[str, Any] = counts
    for key in reversed(keys):
        nested = {key: nested}
    write_text(path, json.dumps(nested, indent=2) + "\n")


def replace_folder(folder: Path, part: Path) -> None:
    """Put `part` where `folder` is. A link that stands there is removed, not what it leads to."""
    remove_link(folder)
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)


def remove_link(folder: Path) -> None:
    """Remove a link where a stage's own folder is to be: what is written goes nowhere else."""
    if folder.is_symlink():
        folder.unlink()


def write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)

"""Where every stage's files lie, relative to the workspace."""

from pathlib import Path

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

"""The paths of every stage's files, relative to the workspace."""

from pathlib import Path

DATA = Path("data")
METRICS = Path("metrics")  # in Git
REPORT = Path("report")
FIGURES = REPORT / "figures"
COUNTS = DATA / "counts"  # of each stage
ANALYSIS = DATA / "analysis"  # a file for each table
RUNS = METRICS / "runs"  # results of experiments
SUMMARY = METRICS / "summary.json"  # what `dvc metrics diff` compares
PLOTS = METRICS / "plots"  # what `dvc plots show` draws
SCORES = REPORT / "scores.md"
PAIR_VIEWER = REPORT / "pairs"
ANSWER_VIEWER = REPORT / "answers"
POLICY = "policy"  # the trained model's name among the models

PROBLEMS = DATA / "problems.parquet"
DROPPED = DATA / "dropped_problems.parquet"
PAIRS = DATA / "pairs.parquet"
SELECTED = DATA / "selected.parquet"
TRAINING_PAIRS = DATA / "training_pairs.parquet"  # ids of the selected pairs
TRAINING_HISTORY = DATA / "training.tsv"
HELD_OUT = DATA / "held_out.tsv"


def model(name: str) -> Path:
    return DATA / "models" / name


def questions(benchmark: str) -> Path:
    return DATA / "questions" / f"{benchmark}.parquet"


def traces(generator: str) -> Path:
    return DATA / "traces" / f"{generator}.parquet"


def verdicts(generator: str) -> Path:
    return DATA / "verdicts" / f"{generator}.parquet"


def ratings(generator: str) -> Path:
    return DATA / "ratings" / f"{generator}.parquet"


def second_ratings(generator: str) -> Path:
    return DATA / "second_ratings" / f"{generator}.parquet"


def answer_folder(model_name: str) -> Path:
    return DATA / "answers" / model_name


def answers(model_name: str, benchmark: str) -> Path:
    return answer_folder(model_name) / f"{benchmark}.parquet"


def counts(stage: str, item: str | None = None) -> Path:
    return COUNTS / stage / f"{item}.json" if item else COUNTS / f"{stage}.json"


def score(model_name: str) -> Path:
    """Return the file with the scores of all benchmarks."""
    return counts("evaluate", model_name)


def analysis(table: str) -> Path:
    return ANALYSIS / f"{table}.json"

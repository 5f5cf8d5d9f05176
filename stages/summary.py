"""Write the numbers that `dvc exp show` and `dvc metrics diff` compare to metrics/summary.json."""

from delta.core import params, paths
from delta.core.console import Console, run
from delta.core.files import read_json, write_counts
from delta.evaluation.config import EvaluatedModelParams, baselines
from delta.report.scores import read_scores
from delta.report.summary import summarize


def main(console: Console) -> None:
    models = params.load_sections("evaluation.models", EvaluatedModelParams)
    (base,) = baselines(models, params.get("train.base"))
    scores = read_scores(models, params.get("benchmarks"))
    judge = [
        read_json(paths.counts("judge", name), "judge", name) for name in params.get("generators")
    ]
    select = read_json(paths.counts("select"), "select")
    train = read_json(paths.counts("train"), "train")
    summary = summarize(scores, base, paths.POLICY, judge, select, train)
    write_counts(paths.SUMMARY, summary)
    gains = ", ".join(f"{group} {score['gain']:+.1f}" for group, score in summary["policy"].items())
    console.print(f"summary: points gained over {base}: {gains}")


if __name__ == "__main__":
    run(main)

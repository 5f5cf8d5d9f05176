"""Write what the run taught, and the numbers that DVC compares, to metrics/summary.json."""

from delta.core import params, paths
from delta.core.console import Console, run
from delta.core.files import read_json, write_counts
from delta.evaluation.config import EvaluatedModelParams, baselines
from delta.report.scores import read_scores
from delta.report.summary import Names, RunCounts, summarize
from delta.report.this_run import compare_scores, measure_run, read_answers


def main(console: Console) -> None:
    models = params.load_sections("evaluation.models", EvaluatedModelParams)
    model = params.get("train.base")
    (base,) = baselines(models, model)
    benchmarks = list(params.get("benchmarks"))
    scores = read_scores(models, benchmarks)
    before, after = (read_answers(name, benchmarks) for name in (base, paths.POLICY))
    judge = [
        read_json(paths.counts("judge", name), "judge", name) for name in params.get("generators")
    ]
    summary = summarize(
        Names(base, model, params.get("train.method")),
        scores,
        measure_run(before, after),
        compare_scores(scores, base, paths.POLICY, (before, after)),
        RunCounts(
            judge,
            read_json(paths.counts("select"), "select"),
            read_json(paths.counts("train"), "train"),
        ),
    )
    write_counts(paths.SUMMARY, summary)
    gains = ", ".join(f"{group} {score['gain']:+.1f}" for group, score in summary["policy"].items())
    console.finish(f"points gained over {base}: {gains}")


if __name__ == "__main__":
    run(main)

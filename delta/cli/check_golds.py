"""Check that the gold answers of problems or questions can be graded.

`dvc.yaml` runs this command after the stages `problems` and `questions`. It can refuse their output
and never changes it, so neither stage depends on the graders.
"""

import argparse

import polars as pl

from delta.core import params, paths, tables
from delta.core.console import Console
from delta.core.schemas import PROBLEM, QUESTION
from delta.grading import gold_check
from delta.grading.config import GradingParams


def add_arguments(parser: argparse.ArgumentParser) -> None:
    names = parser.add_subparsers(dest="table", required=True)
    names.add_parser("problems").set_defaults(benchmark=None)
    names.add_parser("questions").add_argument("benchmark")


def log_name(options: argparse.Namespace) -> str:
    return "-".join(_words(options))


def _words(options: argparse.Namespace) -> list[str]:
    return list(filter(None, ["check-golds", options.table, options.benchmark]))


def main(console: Console, options: argparse.Namespace) -> None:
    if options.table == "problems":
        where, columns = "problems.sources", ["problem_id", "gold_answer"]
        rows = tables.read(paths.PROBLEMS, PROBLEM, columns)
        rows = rows.select("problem_id", pl.lit("math"), pl.col("gold_answer").fill_null(""))
    else:
        name = options.benchmark
        params.check_item(name, "benchmarks")
        where, columns = f"benchmarks.{name}", ["question_id", "grader", "gold_answer"]
        scanned = tables.scan(paths.questions(name), QUESTION).select(columns)
        rows = scanned.filter(pl.col("grader") != "code").collect()  # tests have gigabytes
    grading = params.load_section("grading", GradingParams)
    checked = gold_check.check_golds(grading, rows.iter_rows())
    is_compared_by_llm = options.table == "problems" and params.get("verify.llm_fallback")
    for gold in checked.ungradable:
        print(gold)
    if not is_compared_by_llm:  # a model may understand what the grader does not
        gold_check.check_max_ungradable_golds(where, grading, checked)
    if checked.ungradable:
        console.print(
            f"{' '.join(_words(options))}: {len(checked.ungradable)} of {checked.checked} cannot "
            f"be graded; logs/{log_name(options)}.log names them; {checked.ungradable[0]}"
        )

"""usage: python -m delta check-golds problems
       python -m delta check-golds questions BENCHMARK

Check that the gold answers of problems or questions can be graded. `dvc.yaml` runs this command
after the stages `problems` and `questions`. It can refuse their output and never changes it, so
neither stage depends on the graders.
"""

import polars as pl

from delta.core import params, paths, tables
from delta.core.console import Console, run
from delta.core.errors import InputError
from delta.core.schemas import PROBLEM, QUESTION
from delta.grading import gold_check
from delta.grading.config import GradingParams


def main(console: Console, argv: list[str]) -> None:
    match argv:
        case ["problems"]:
            where, columns = "problems.sources", ["problem_id", "gold_answer"]
            rows = tables.read(paths.PROBLEMS, PROBLEM, columns)
            rows = rows.select("problem_id", pl.lit("math"), pl.col("gold_answer").fill_null(""))
        case ["questions", *names]:
            name = params.parse_item(names, "benchmarks")
            where, columns = f"benchmarks.{name}", ["question_id", "grader", "gold_answer"]
            scanned = tables.scan(paths.questions(name), QUESTION).select(columns)
            rows = scanned.filter(pl.col("grader") != "code").collect()  # tests have gigabytes
        case _:
            raise InputError(f"{' '.join(argv)!r}; expected: problems, or questions and a name")
    grading = params.load_section("grading", GradingParams)
    checked = gold_check.check_golds(grading, rows.iter_rows())
    is_compared_by_llm = argv == ["problems"] and params.get("verify.llm_fallback")
    for gold in checked.ungradable:
        print(gold)
    if not is_compared_by_llm:  # a model may understand what the grader does not
        gold_check.check_max_ungradable_golds(where, grading, checked)
    if checked.ungradable:
        console.print(
            f"check-golds {' '.join(argv)}: {len(checked.ungradable)} of {checked.checked} cannot "
            f"be graded; logs/check-golds-{'-'.join(argv)}.log names them; {checked.ungradable[0]}"
        )


def start() -> None:
    run(main, "check-golds")

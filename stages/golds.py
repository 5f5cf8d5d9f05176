"""golds problems | golds questions BENCHMARK: can their gold answers be graded?

It follows the stages `problems` and `questions`. It can refuse what they wrote but does not shape
it, so that no stage depends on it and a change of a grader reads no benchmark again.
"""

import polars as pl

from delta import outputs, params, tables
from delta.console import Console, run
from delta.errors import InputError
from delta.graders import golds
from delta.graders.pool import GradingParams
from delta.records import PROBLEM, QUESTION


def main(console: Console, argv: list[str]) -> None:
    match argv:
        case ["problems"]:
            where, columns = "problems.sources", ["problem_id", "gold_answer"]
            rows = tables.read(outputs.PROBLEMS, PROBLEM, columns)
            rows = rows.select("problem_id", pl.lit("math"), pl.col("gold_answer").fill_null(""))
        case ["questions", *names]:
            name = params.item(names, "benchmarks")
            where, columns = f"benchmarks.{name}", ["question_id", "grader", "gold_answer"]
            scanned = tables.scan(outputs.questions(name), QUESTION).select(columns)
            rows = scanned.filter(pl.col("grader") != "code").collect()  # tests have gigabytes
        case _:
            raise InputError(f"{' '.join(argv)!r}; expected: problems, or questions and a name")
    grading = params.section("grading", GradingParams)
    checked = golds.check_golds(grading, rows.iter_rows())
    is_compared_by_llm = argv == ["problems"] and params.value("verify.second") == "llm"
    for gold in checked.ungradable:
        print(gold)
    if not is_compared_by_llm:  # a model may understand what the grader does not
        golds.check_share(where, grading, checked)
    if checked.ungradable:
        console.say(
            f"golds {' '.join(argv)}: {len(checked.ungradable)} of {checked.checked} cannot be "
            f"graded; logs/golds-{'-'.join(argv)}.log names them; {checked.ungradable[0]}"
        )


if __name__ == "__main__":
    run(main)

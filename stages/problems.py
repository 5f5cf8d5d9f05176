"""problems: which problems the policy learns from → data/problems.parquet"""

from delta import outputs, params, tables
from delta.console import Console, run
from delta.problems import DROPPED, ProblemsParams, build
from delta.records import PROBLEM, QUESTION


def main(console: Console, _argv: list[str]) -> None:
    chosen = params.section("problems", ProblemsParams)
    columns = ["question_id", "statement", "history"]  # the tests of programs have gigabytes
    questions = {
        name: tables.read(outputs.questions(name), QUESTION, columns)
        for name in params.value("benchmarks")
    }
    problems, dropped, counts = build(chosen, questions)
    tables.write(outputs.PROBLEMS, problems, PROBLEM)
    tables.write(outputs.DROPPED, dropped, DROPPED)
    outputs.write_counts(outputs.METRICS / "problems.json", counts, "problems")
    console.say(
        f"problems: {counts['kept']} of {counts['drawn']} kept; dropped {counts['dropped']}; "
        f"in a benchmark: {counts['overlap']}"
    )


if __name__ == "__main__":
    run(main)

"""Write the training problems to data/problems.parquet."""

from delta.core import params, paths, tables
from delta.core.console import Console, run
from delta.core.files import write_counts
from delta.core.schemas import PROBLEM, QUESTION
from delta.data.problems import DROPPED, QUESTION_COLUMNS, ProblemsParams, build_problems


def main(console: Console) -> None:
    settings = params.load_section("problems", ProblemsParams)
    questions = {
        name: tables.read(paths.questions(name), QUESTION, QUESTION_COLUMNS)
        for name in params.get("benchmarks")
    }
    problems, dropped, counts = build_problems(settings, questions)
    tables.write(paths.PROBLEMS, problems, PROBLEM)
    tables.write(paths.DROPPED, dropped, DROPPED)
    write_counts(paths.counts("problems"), counts, "problems")
    reasons = [f"{number} dropped ({reason})" for reason, number in counts["dropped"].items()]
    console.finish(", ".join([f"{counts['kept']} of {counts['drawn']} problems", *reasons]))


if __name__ == "__main__":
    run(main)

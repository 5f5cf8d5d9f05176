"""questions@BENCHMARK: what a benchmark asks → data/questions/BENCHMARK.parquet"""

from delta import outputs, params, tables
from delta.benchmarks import BenchmarkParams
from delta.console import Console, run
from delta.questions import questions
from delta.records import QUESTION


def main(console: Console, argv: list[str]) -> None:
    (name,) = argv
    benchmark = params.section(f"benchmarks.{name}", BenchmarkParams)
    asked, counts = questions(name, benchmark)
    tables.write(outputs.questions(name), asked, QUESTION)
    path = outputs.METRICS / "questions" / f"{name}.json"
    outputs.write_counts(path, counts, "questions", name)
    console.say(f"questions {name}: {counts}")


if __name__ == "__main__":
    run(main)

"""questions@BENCHMARK: what a benchmark asks → data/questions/BENCHMARK.parquet"""

from collections import Counter

from delta import outputs, params, tables
from delta.benchmarks import BenchmarkParams
from delta.console import Console, run
from delta.questions import questions, summary
from delta.records import QUESTION


def main(console: Console, argv: list[str]) -> None:
    name = params.item(argv, "benchmarks")
    benchmark = params.section(f"benchmarks.{name}", BenchmarkParams)
    counts = Counter[str]()
    tables.write_batches(outputs.questions(name), questions(name, benchmark, counts), QUESTION)
    counted = summary(counts)
    path = outputs.METRICS / "questions" / f"{name}.json"
    outputs.write_counts(path, counted, "questions", name)
    console.say(f"questions {name}: {counted}")


if __name__ == "__main__":
    run(main)

"""Write a benchmark's questions, gold answers and prompts to data/questions/NAME.parquet."""

from collections import Counter

from delta.core import params, paths, tables
from delta.core.console import Console, run
from delta.core.files import write_counts
from delta.core.schemas import QUESTION
from delta.evaluation.benchmarks import BenchmarkParams
from delta.evaluation.questions import question_batches, summarize_counts


def main(console: Console, name: str) -> None:
    params.check_item(name, "benchmarks")
    benchmark = params.load_section(f"benchmarks.{name}", BenchmarkParams)
    row_counts = Counter[str]()
    tables.write_batches(
        paths.questions(name), question_batches(name, benchmark, row_counts), QUESTION
    )
    counts = summarize_counts(row_counts)
    write_counts(paths.counts("questions", name), counts, "questions", name)
    reasons = [f"{number} dropped ({reason})" for reason, number in counts["dropped"].items()]
    console.finish(", ".join([f"{counts['kept']} questions", *reasons]))


if __name__ == "__main__":
    run(main)

"""problems: which problems the policy learns from → data/problems.parquet"""

from delta import outputs, params, tables
from delta.benchmarks import BenchmarkParams
from delta.console import Console, run
from delta.problems import ProblemsParams, build
from delta.records import PROBLEM


def main(console: Console, _argv: list[str]) -> None:
    chosen = params.section("problems", ProblemsParams)
    held_out = params.sections("benchmarks", BenchmarkParams)
    problems, counts = build(chosen, held_out)
    tables.write(outputs.PROBLEMS, problems, PROBLEM)
    outputs.write_counts(outputs.METRICS / "problems.json", counts, "problems")
    console.say(f"problems: {counts}")


if __name__ == "__main__":
    run(main)

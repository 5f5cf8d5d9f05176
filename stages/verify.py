"""verify@GENERATOR: right, wrong, or not gradable → data/verdicts/GENERATOR.parquet"""

from functools import partial

from delta import outputs, params, tables
from delta.console import Console, run
from delta.graders.pool import VerifyParams
from delta.records import PROBLEM, TRACE, VERDICT
from delta.verify import verify


def main(console: Console, argv: list[str]) -> None:
    (name,) = argv
    grading = params.section("verify", VerifyParams)
    problems = tables.read(outputs.PROBLEMS, PROBLEM)
    traces = tables.read(outputs.traces(name), TRACE)
    progress = partial(console.progress, total=traces.height, what=f"verify {name}")
    verdicts, counts = verify(grading, problems, traces, progress)
    tables.write(outputs.verdicts(name), verdicts, VERDICT)
    outputs.write_counts(outputs.METRICS / "verify" / f"{name}.json", counts, "verify", name)


if __name__ == "__main__":
    run(main)

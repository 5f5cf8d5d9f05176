"""evaluate@MODEL-BENCHMARK: answers and score → data/answers/…, metrics/evaluate/…"""

from functools import partial

from delta import benchmarks, outputs, params, tables, weights
from delta.benchmarks import BenchmarkParams
from delta.console import Console, run
from delta.engines.settings import EngineSettings, SamplingParams, open_engine
from delta.evaluate import answers, requests_of, score
from delta.graders.pool import VerifyParams
from delta.records import ANSWER
from delta.replies import open_shelf


def main(console: Console, argv: list[str]) -> None:
    name, benchmark_name = argv
    sampling = params.section("evaluation.sampling", SamplingParams)
    benchmark = params.section(f"benchmarks.{benchmark_name}", BenchmarkParams)
    grading = params.section("verify", VerifyParams)
    settings = params.section("engine", EngineSettings)
    folder = outputs.model(name)
    model = weights.fingerprint(folder)
    engine = open_engine(settings, folder)
    questions = benchmarks.questions(benchmark_name, benchmark)
    asked = requests_of(sampling, benchmark, engine, model, questions)
    what = f"evaluate {name} {benchmark_name}"
    with open_shelf(f"evaluate-{name}-{benchmark_name}", model, console.say) as shelf:
        progress = partial(console.progress, what=what)
        rows = answers(benchmark_name, grading, asked, shelf.remember(engine.ask, progress))
    result = score(benchmark, questions, rows)
    tables.write(outputs.answers(name, benchmark_name), rows, ANSWER)
    outputs.write_counts(outputs.score(name, benchmark_name), result, name, benchmark_name)
    console.say(f"{what}: {result['value']:.3f} [{result['low']:.3f}, {result['high']:.3f}]")


if __name__ == "__main__":
    run(main)

"""generate@GENERATOR: several traces of every problem → data/traces/GENERATOR.parquet"""

from functools import partial

from delta import outputs, params, tables, weights
from delta.console import Console, run
from delta.engines.settings import EngineSettings, open_engine
from delta.generate import GeneratorParams, generate, requests_of
from delta.records import PROBLEM, TRACE
from delta.replies import open_shelf


def main(console: Console, argv: list[str]) -> None:
    (name,) = argv
    generator = params.section(f"generators.{name}", GeneratorParams)
    settings = params.section("engine", EngineSettings)
    problems = tables.read(outputs.PROBLEMS, PROBLEM)
    folder = outputs.model(generator.model)
    model = weights.fingerprint(folder)
    engine = open_engine(settings, folder)
    asked = list(requests_of(generator, engine, model, problems))
    with open_shelf(f"generate-{name}", model, console.say) as shelf:
        progress = partial(console.progress, what=f"generate {name}")
        traces, counts = generate(name, asked, shelf.remember(engine.ask, progress))
    tables.write(outputs.traces(name), traces, TRACE)
    outputs.write_counts(outputs.METRICS / "generate" / f"{name}.json", counts, "generate", name)


if __name__ == "__main__":
    run(main)

"""Whether generators that are recordings, and these recordings, fit the problems."""

from collections.abc import Iterator, Mapping

from delta.data.fetch import ModelParams
from delta.data.problems import ProblemSource
from delta.inference.generate import GeneratorParams, RecordedParams


def mistakes(
    models: Mapping[str, ModelParams],
    generators: Mapping[str, GeneratorParams],
    sources: Mapping[str, ProblemSource],
) -> Iterator[str]:
    """Yield generators and recordings whose problems are not those of the recording's source."""
    recorded = {name: model.recording for name, model in models.items() if model.recording}
    for name, generator in generators.items():
        if isinstance(generator, RecordedParams) and generator.model not in recorded:
            expected = ", ".join(recorded) or "none is declared"
            key = f"generators.{name}.model"
            yield f"{key} = {generator.model!r}: no recording; expected {expected}"
    for name, recording in recorded.items():
        key = f"models.{name}.recording"
        if recording.source not in sources:
            expected = ", ".join(sources)
            yield f"{key}.source = {recording.source!r}: not declared; expected {expected}"
        source = sources[recording.source]
        for kind, same in (
            ("openr1", ("data", "llama_verdicts")),
            ("table", ("data", "statement")),
        ):
            mine, theirs = getattr(recording, kind), getattr(source, kind)
            for field in same if mine is not None else ():
                if theirs is None or getattr(mine, field) != getattr(theirs, field):
                    where = f"problems.sources.{recording.source}.{kind}.{field}"
                    yield f"{key}.{kind}.{field}: expected that of {where}"

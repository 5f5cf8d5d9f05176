"""Whether the entries of `serving` and `engine.servers` fit each other and their models."""

from collections.abc import Iterator, Mapping

from delta.data.fetch import ModelParams
from delta.inference.config import EngineParams, Serving, WeightlessServingParams


def mistakes(
    models: Mapping[str, ModelParams], serving: Mapping[str, Serving], engine: EngineParams
) -> Iterator[str]:
    """Yield models at servers for which `engine.servers` does not list exactly one server.

    Also models whose code is copied and not run, or run and not copied.
    """
    yield from _models_at_servers(models, serving, engine)
    yield from _remote_code(models, serving)
    for name, server in engine.servers.items():
        key = f"engine.servers.{name}"
        for model in server.models:
            if model not in serving or serving[model].server is None:
                served = [other for other, own in serving.items() if own.server]
                expected = ", ".join(served) or "none is declared"
                yield f"{key}.models.{model}: serving.{model} has no server; expected {expected}"
            if (first := engine.server_of(model)) != name:
                yield f"{key}.models.{model}: {first} lists it too; expected one server a model"


def _models_at_servers(
    models: Mapping[str, ModelParams], serving: Mapping[str, Serving], engine: EngineParams
) -> Iterator[str]:
    """Yield entries of `serving` that do not fit their model, or whose model no server lists."""
    listed = {model for server in engine.servers.values() for model in server.models}
    for name, entry in serving.items():
        model = models.get(name)  # None: trained here
        if model is not None and model.served_model_name is not None:
            if not isinstance(entry, WeightlessServingParams):
                keys = ", ".join(WeightlessServingParams.model_fields)
                yield f"serving.{name}: models.{name} has no weights here; expected {keys}"
        elif isinstance(entry, WeightlessServingParams):
            yield f"serving.{name}.dtype is missing (it has weights here)"
        if entry.server is None:
            continue
        if model is not None and not model.is_asked:
            yield f"serving.{name}.server: a {model.kind} needs no server; leave it out"
        elif name not in listed:
            yield (
                f"serving.{name}.server: none of engine.servers lists {name} among its "
                "models; expected exactly one"
            )


def _remote_code(
    models: Mapping[str, ModelParams], serving: Mapping[str, Serving]
) -> Iterator[str]:
    for name, model in models.items():
        entry = serving[name]
        if isinstance(entry, WeightlessServingParams):
            continue
        kind, origin = ("hub", model.hub) if model.hub else ("folder", model.folder)
        if origin is not None and origin.code != entry.trust_remote_code:
            yield (
                f"models.{name}.{kind}.code = {origin.code}: serving.{name}.trust_remote_code is "
                f"{entry.trust_remote_code}; expected both or neither"
            )

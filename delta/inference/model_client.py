"""A model of params.yaml as a stage asks it: its engine, its fingerprint, its stored replies."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from delta.core import fingerprint as weights
from delta.core import params, paths
from delta.core.console import Console
from delta.inference.engine import (
    EndpointSettings,
    Engine,
    EngineSettings,
    ServedParams,
    Serving,
    ServingParams,
)
from delta.inference.reply_cache import ReplyCache, open_reply_cache
from delta.inference.types import Failure, GenerateFn, Reply, Request


def open_engine(
    settings: EngineSettings, serving: ServingParams | ServedParams, model_folder: Path
) -> Engine:
    """The engine for the model in `model_folder`. Weights are loaded at the first request."""
    if serving.endpoint is not None:
        from delta.inference.openai_engine import OpenAIEngine

        server = settings.endpoint.servers[settings.endpoint.server_of(model_folder.name)]
        asked_as = weights.served_name(model_folder) or model_folder.name
        return OpenAIEngine(settings.endpoint, server, serving, asked_as)
    assert isinstance(serving, ServingParams)  # without an endpoint it can be nothing else
    if settings.kind == "ray":
        from delta.inference.ray_engine import RayEngine

        return RayEngine(settings.vllm, serving, model_folder, settings.ray)
    from delta.inference.vllm_engine import VllmEngine

    return VllmEngine(settings.vllm, serving, model_folder)


class ModelClient(NamedTuple):
    """A model that is open: prompts can be rendered, and weights are loaded by the first request.

    Its engine is the one that `serving` says: servers where it has an `endpoint`, else that of
    `engine.kind`, in this process or on a cluster.
    """

    engine: Engine
    fingerprint: str  # part of every request's key
    max_model_len: int
    settings: EndpointSettings

    def room(self, max_tokens: int) -> int:
        """Return the tokens that are left for a prompt beside a reply of `max_tokens`."""
        return self.max_model_len - max_tokens

    @contextmanager
    def replies(
        self, item: str, console: Console, title: str, max_failed: float | None = None
    ) -> Iterator[tuple[GenerateFn, ReplyCache]]:
        """Yield the function that asks for what the store lacks, and the store's shelf of `item`.

        `title` names the bar of progress. `max_failed` is the share of the item's requests, of
        whichever engine, that may fail; None: that of the run.
        """
        with open_reply_cache(item, self.fingerprint, console.print) as shelf:
            progress = partial(console.progress, label=title)
            share = self.settings.max_failed if max_failed is None else max_failed
            yield shelf.remember(self._ask, progress, max_failed=share), shelf

    def _ask(self, requests: Iterable[Request]) -> Iterator[tuple[Request, Reply | Failure]]:
        """As the engine does, but first every key that the run will want must be there.

        Else a night of generation would end at the judge. InputError where one is not set.
        """
        for server in self.settings.servers.values():
            server.token()
        yield from self.engine.ask(requests)


def open_model(name: str) -> ModelClient:
    """Return the model `name`. InputError where its folder is missing or not whole."""
    serving: ServingParams | ServedParams = params.load_section(
        f"serving.{name}",
        Serving,  # type: ignore[arg-type]  # a union is no type[S] to mypy
    )
    settings = params.load_section("engine", EngineSettings)
    folder = paths.model(name)
    fingerprint = weights.read_fingerprint(folder)
    engine = open_engine(settings, serving, folder)
    return ModelClient(engine, fingerprint, serving.max_model_len, settings.endpoint)

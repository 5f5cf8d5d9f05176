"""A model of params.yaml as a stage asks it: its engine, its fingerprint, its stored replies."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

from delta import outputs, params, weights
from delta.console import Console
from delta.engines import Ask, Failure, Reply, Request
from delta.engines.settings import (
    EndpointSettings,
    Engine,
    EngineSettings,
    ServedParams,
    Serving,
    ServingParams,
    open_engine,
)
from delta.replies import Shelf, open_shelf


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
    ) -> Iterator[tuple[Ask, Shelf]]:
        """Yield the function that asks for what the store lacks, and the store's shelf of `item`.

        `title` names the bar of progress. `max_failed` is the share of the item's requests, of
        whichever engine, that may fail; None: that of the run.
        """
        with open_shelf(item, self.fingerprint, console.say) as shelf:
            progress = partial(console.progress, what=title)
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
    serving: ServingParams | ServedParams = params.section(
        f"serving.{name}",
        Serving,  # type: ignore[arg-type]  # a union is no type[S] to mypy
    )
    settings = params.section("engine", EngineSettings)
    folder = outputs.model(name)
    fingerprint = weights.fingerprint(folder)
    engine = open_engine(settings, serving, folder)
    return ModelClient(engine, fingerprint, serving.max_model_len, settings.endpoint)

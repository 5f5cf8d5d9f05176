"""A model of params.yaml for a stage: its engine, its fingerprint and its reply cache."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

from delta.core import fingerprint, params, paths
from delta.core.console import Console
from delta.inference.config import EngineParams, Serving
from delta.inference.engine import Engine, open_engine
from delta.inference.reply_cache import ReplyCache, open_reply_cache
from delta.inference.types import GenerateFn, Request, RequestResult


class ModelClient(NamedTuple):
    """An open model. Prompts can be rendered. The first request loads the weights."""

    engine: Engine
    fingerprint: str  # part of every request's key
    max_model_len: int
    settings: EngineParams

    def max_prompt_tokens(self, max_tokens: int) -> int:
        """Return how many tokens a prompt may have, if its reply may have `max_tokens`."""
        return self.max_model_len - max_tokens

    @contextmanager
    def replies(
        self, item: str, console: Console, title: str, max_failed: float | None = None
    ) -> Iterator[tuple[GenerateFn, ReplyCache]]:
        """Yield the function that answers requests, and the cache of `item` that it uses.

        `title` names the progress bar. `max_failed` is the fraction of the item's requests that may
        fail; None: `engine.max_failed`.
        """
        with open_reply_cache(item, self.fingerprint, console.print) as cache:
            progress = partial(console.progress, label=title)
            fraction = self.settings.max_failed if max_failed is None else max_failed
            yield cache.cached(self._generate, progress, max_failed=fraction), cache

    def _generate(self, requests: Iterable[Request]) -> Iterator[RequestResult]:
        """Yield the engine's results. Raises InputError where the key of any server is not set.

        All servers are checked, so that a run does not generate for a night and fail at the judge.
        """
        for server in self.settings.servers.values():
            server.api_key()
        yield from self.engine.generate(requests)


def open_model(name: str) -> ModelClient:
    """Return the model `name`. Raises InputError where its folder is missing or incomplete."""
    serving: Serving = params.load_section(
        f"serving.{name}",
        Serving,  # type: ignore[arg-type]  # a union is no type[S] to mypy
    )
    settings = params.load_section("engine", EngineParams)
    folder = paths.model(name)
    digest = fingerprint.read_fingerprint(folder)
    engine = open_engine(settings, serving, folder)
    return ModelClient(engine, digest, serving.max_model_len, settings)

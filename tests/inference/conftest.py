"""Fixtures of the tests of the OpenAI engine."""

from collections.abc import Iterator

import pytest

from tests.helpers.scripted_server import ScriptedServer, run_server


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with run_server() as server:
        yield server


@pytest.fixture
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("delta.inference.openai_engine.backoff_s", lambda _: 0.0)

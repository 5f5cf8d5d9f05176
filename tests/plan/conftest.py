"""The workspace of a plan."""

from pathlib import Path

import pytest

from tests.helpers.plan_workspace import enter


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Enter a workspace with a reply cache of its own and a model, and return its folder."""
    return enter(tmp_path, monkeypatch)

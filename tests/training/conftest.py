"""A tiny base model for every test that trains."""

from pathlib import Path

import pytest

from tests.helpers.tiny_models import write_model


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    write_model(folder)
    return folder

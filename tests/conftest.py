"""Run slow tests first, so that the workers end together, and nightly ones only on request."""

import pytest
from hypothesis import settings

from tests.helpers.reference_run import reference_run
from tests.helpers.strict_api import api

__all__ = ["api", "reference_run"]

# No deadline: an example may take long on a busy machine.
settings.register_profile("tests", deadline=None)
settings.load_profile("tests")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "nightly" not in config.option.markexpr:
        nightly = [item for item in items if item.get_closest_marker("nightly")]
        items[:] = [item for item in items if not item.get_closest_marker("nightly")]
        config.hook.pytest_deselected(items=nightly)
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)

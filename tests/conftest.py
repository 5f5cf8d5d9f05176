"""Slow tests come first, so that two workers end together; nightly ones only where asked for."""

import pytest
from hypothesis import settings

from tests.helpers.reference_run import reference_run

__all__ = ["reference_run"]

# A drawn example that takes long on a busy machine is no fault of the code.
settings.register_profile("tests", deadline=None)
settings.load_profile("tests")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "nightly" not in config.option.markexpr:
        left_out = [item for item in items if item.get_closest_marker("nightly")]
        items[:] = [item for item in items if not item.get_closest_marker("nightly")]
        config.hook.pytest_deselected(items=left_out)
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)

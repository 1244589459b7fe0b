"""Tests marked `monitoring` need the two Debian packages; without them they are left out, with the reason."""

import pytest

from sandbox.monitoring import missing_program


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the marked tests where a program is missing."""
    if (missing := missing_program()) is None:
        return
    for item in items:
        if item.get_closest_marker("monitoring"):
            item.add_marker(pytest.mark.skip(reason=f"{missing} is not installed"))

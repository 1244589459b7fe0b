"""Tests marked `monitoring` need the two Debian packages; without them they are left out, with the reason."""

from pathlib import Path

import pytest
from django.conf import settings

from sandbox.monitoring import missing_program


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the marked tests where a program is missing."""
    if (missing := missing_program()) is None:
        return
    for item in items:
        if item.get_closest_marker("monitoring"):
            item.add_marker(pytest.mark.skip(reason=f"{missing} is not installed"))


@pytest.fixture(scope="session")
def static_files() -> None:
    """The directory that WhiteNoise asks for when a live server starts."""
    Path(settings.STATIC_ROOT).mkdir(parents=True, exist_ok=True)

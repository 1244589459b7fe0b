"""The organisation of the tests of governance, and people with browsers."""

from pathlib import Path

import pytest
from django.conf import settings

from tests.dashboard.browsing import chromium, visit
from tests.deployments.conftest import artifacts, quick, world

__all__ = ["artifacts", "chromium", "quick", "visit", "world"]


@pytest.fixture(scope="session", autouse=True)
def static_files() -> None:
    """A directory of static files, which WhiteNoise asks for when the live server starts."""
    Path(settings.STATIC_ROOT).mkdir(exist_ok=True)

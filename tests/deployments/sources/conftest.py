"""What a live server needs before any test of this directory."""

from pathlib import Path

import pytest
from django.conf import settings


@pytest.fixture(scope="session", autouse=True)
def static_directory() -> None:
    """WhiteNoise asks for the directory when the server starts, which is before anything that a single test makes."""
    Path(settings.STATIC_ROOT).mkdir(exist_ok=True)

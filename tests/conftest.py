"""What all tests share."""

from pathlib import Path

import pytest
from pytest_django.fixtures import SettingsWrapper

pytest_plugins = ["tests.fixtures.hosts"]


@pytest.fixture(autouse=True)
def _static_files_without_collecting(settings: SettingsWrapper) -> None:
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }


@pytest.fixture
def state_dir(tmp_path: Path, settings: SettingsWrapper) -> Path:
    """A state directory of this test's own, also for artifacts."""
    settings.STATE_DIR = tmp_path
    settings.MEDIA_ROOT = tmp_path / "artifacts"
    return tmp_path

"""Real hosts for these tests."""

from __future__ import annotations

from pathlib import Path

import pytest


def _listed_above() -> bool:
    above = Path(__file__).parents[2] / "conftest.py"
    return above.exists() and "tests.fixtures.hosts" in above.read_text()


def pytest_configure(config: pytest.Config) -> None:
    """Load the plugin, unless tests/conftest.py lists it for everybody."""
    if not _listed_above() and not config.pluginmanager.hasplugin("tests.fixtures.hosts"):
        config.pluginmanager.import_plugin("tests.fixtures.hosts")

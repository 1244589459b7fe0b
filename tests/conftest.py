"""What all tests share."""

from pathlib import Path
from typing import Any

import hypothesis
import pytest

hypothesis.settings.register_profile("any machine", deadline=None)  # no test asserts an absolute time
hypothesis.settings.load_profile("any machine")

pytest_plugins = [
    f"tests.fixtures.{name}"
    for name in (
        *("database", "hosts", "records", "fleet", "reliability", "difficult"),
        *("drawing", "scheduling", "tracebacks"),
    )
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Playwright's event loop closes after its sockets: with a browser, and nowhere else, that is no fault of ours."""
    for item in items:
        if item.get_closest_marker("browser"):
            item.add_marker(pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"))


@pytest.fixture
def state_dir(tmp_path: Path, settings: Any) -> Path:
    """A state directory of this test's own, also for artifacts."""
    settings.STATE_DIR = tmp_path
    settings.MEDIA_ROOT = tmp_path / "artifacts"
    return tmp_path

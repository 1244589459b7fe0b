"""Every setting, status and alert is documented."""

import re
from pathlib import Path

from deployments.lifecycle import Status

ROOT = Path(__file__).resolve().parent.parent.parent
_SETTING = re.compile(r"""["'](PORTAL_[A-Z_]+|(?:DATABASE|PROMETHEUS|ALERTMANAGER)_URL)(?:_FILE)?["']""")


def operations() -> str:
    return (ROOT / "docs" / "operations.md").read_text()


def settings_read() -> set[str]:
    sources = [path for room in ("portal", "deployments", "dashboard") for path in (ROOT / room).rglob("*.py")]
    return {name.removesuffix("_FILE") for path in sources for name in _SETTING.findall(path.read_text())}


def test_every_setting_is_documented() -> None:
    assert len(settings_read()) >= 10
    assert sorted(name for name in settings_read() if f"`{name}`" not in operations()) == []


def test_every_documented_setting_exists() -> None:
    documented = set(re.findall(r"`((?:PORTAL_|DATABASE_|PROMETHEUS_|ALERTMANAGER_)[A-Z_]+)`", operations()))
    assert {name.removesuffix("_FILE") for name in documented} <= settings_read()


def test_every_status_is_explained() -> None:
    assert sorted(status.label for status in Status if f"| {status.label} |" not in operations()) == []

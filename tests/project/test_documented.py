"""Every setting, status and alert is documented."""

import re
from pathlib import Path

from deployments.lifecycle import Status
from portal import variables

ROOT = Path(__file__).resolve().parent.parent.parent
_SETTING = re.compile(r"""["'](PORTAL_[A-Z_]+|(?:DATABASE|PROMETHEUS|ALERTMANAGER)_URL)(?:_FILE)?["']""")


def operations() -> str:
    return (ROOT / "docs" / "operations.md").read_text()


def settings_read() -> set[str]:
    rooms = ("portal", "deployments", "dashboard")
    sources = [path for room in rooms for path in (ROOT / room).rglob("*.py") if path.name != "variables.py"]
    return {name.removesuffix("_FILE") for path in sources for name in _SETTING.findall(path.read_text())}


def test_every_setting_is_documented() -> None:
    assert len(variables.ALL) >= 10
    assert settings_read() <= {one.name for one in variables.ALL}
    assert (ROOT / "docs/settings.md").read_text() == variables.page(), (
        "run: python -m portal.variables > docs/settings.md"
    )


def test_every_documented_setting_exists() -> None:
    taken = set(re.findall(r"variables\.([A-Z_]+)\.read\(\)", (ROOT / "portal/settings.py").read_text()))
    elsewhere = {one.name for one in variables.ALL} & settings_read()
    assert {getattr(variables, name).name for name in taken} | elsewhere == {one.name for one in variables.ALL}
    pages = "".join(path.read_text() for path in (ROOT / "docs").glob("*.md"))
    documented = set(re.findall(r"`((?:PORTAL_|DATABASE_|PROMETHEUS_|ALERTMANAGER_)[A-Z_]+)`", pages))
    known = {one.name for one in variables.ALL} | {one.name + "_FILE" for one in variables.ALL}
    assert documented <= known


def test_every_status_is_explained() -> None:
    assert sorted(status.label for status in Status if f"| {status.label} |" not in operations()) == []

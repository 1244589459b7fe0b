"""The sections of the runbook, and the commands that stand in them."""

import re

from tests.monitoring import rules as shipped

PAGE = shipped.ROOT.parent / "docs" / "runbook.md"
SECTIONS = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", PAGE.read_text(), re.MULTILINE | re.DOTALL))
PROGRAMS = ("./manage.py", "systemctl", "journalctl", "curl", "df", "du", "last", "top", "ping")
NOT_BY_ITSELF = {"top": "shows itself on a terminal until somebody ends it", "ping": "is printed without an address"}
"""What no test runs as it stands there."""
_SPAN = re.compile(r"`([^`\n]+)`")


def commands(name: str) -> list[str]:
    """Every command of a section, in order, as printed."""
    spans = [span for span in _SPAN.findall(SECTIONS[name]) if span.split()[0] in PROGRAMS]
    return [span for span in dict.fromkeys(spans) if span not in NOT_BY_ITSELF]


def on_the_server(name: str) -> list[str]:
    """Those that are typed on the server which the alert names."""
    return [command for command in commands(name) if not command.startswith("./manage.py")]


def filled_in(command: str, places: dict[str, str]) -> str:
    """With what E, S, N and FILE stand for."""
    return re.sub(r"(?<![\w-])([A-Z]+)(?![\w-])", lambda letter: places.get(letter[1], letter[1]), command)

"""The table of audit events is whole: nothing is recorded, and nothing is documented, that is not in it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments.audit.events import EVENTS, event, table

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "audit-events.md"
SUBJECTS = {name.partition(".")[0] for name in EVENTS}
TONES = {"rollback", "bad", "wary", "good", "plain"}
NO_EVENTS = {"portal.shell", "portal.settings", "portal.environment", "service.invalid", "keys.json"}
"""Words of the same form that are something else."""


def _texts() -> Iterator[tuple[str, str]]:
    for room in ("deployments", "alerting", "dashboard"):
        for path in sorted((ROOT / room).rglob("*.py")):
            if "migrations" in path.parts or path.name == "events.py":
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield str(path.relative_to(ROOT)), node.value


def test_every_event_that_the_code_names_is_in_the_table() -> None:
    form = re.compile(rf"({'|'.join(sorted(SUBJECTS))})\.[a-z]+(_[a-z]+)*")
    named = {text: path for path, text in _texts() if form.fullmatch(text)}
    assert {name: path for name, path in named.items() if name not in EVENTS and name not in NO_EVENTS} == {}
    assert len(named) > 60, "they are found at all"


@pytest.mark.parametrize("ending", ["requested", "succeeded", "failed", "rolled_back", "interrupted", "cancelled"])
def test_deployments_and_rollbacks_have_the_same_endings(ending: str) -> None:
    assert f"deployment.{ending}" in EVENTS
    assert f"rollback.{ending}" in EVENTS


def test_titles_and_tones_are_for_people() -> None:
    assert {each.tone for each in EVENTS.values()} == TONES
    assert all(each.title[0].isupper() and "_" not in each.title for each in EVENTS.values())
    assert event("deployment.break_glass").tone == "bad"
    assert event("older.one_of_these").title == "Older: one of these"


def test_the_documented_table_is_the_one_in_the_code() -> None:
    assert PAGE.read_text().partition("| name |")[1:] == ("| name |", table().removeprefix("| name |"))

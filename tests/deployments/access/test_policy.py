"""Every role on every verb by every path: allowed and refused exactly as the table in docs/security.md says."""

import io
import re
import sys
from pathlib import Path

import pytest

from deployments.access.verbs import Verb
from deployments.models import AuditEvent
from tests.deployments.paths import TRIES
from tests.deployments.world import World

# apprise imports a module that Python 3.13 no longer has
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")
DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "security.md"
ELSEWHERE = frozenset({"drill", "back_up", "prune"})
DERIVED = {
    "reject": "approve",
    "unlock": "lock",
    "tighten_policy": "configure",
    "loosen_policy": "configure",
    "manage_channels": "configure",
}
CELLS = re.compile(r"\s*\|\s*")


def _rows(first: str) -> list[dict[str, str]]:
    lines = DOCUMENT.read_text().splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {first} |"))
    heads = CELLS.split(lines[start].strip("| "))
    table = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        table.append(dict(zip(heads, CELLS.split(line.strip("| ")), strict=True)))
    return table


TABLE = _rows("verb")
WHO = [head for head in TABLE[0] if head not in ("verb", "what", "paths")]
CASES = [
    pytest.param(row["verb"], path, who, row[who] == "yes", id=f"{row['verb']}-{path}-{who}")
    for row in TABLE
    for path in row["paths"].split(", ")
    for who in WHO
    if path == "command" or not who.startswith("shell")
]


@pytest.mark.parametrize(("verb", "path", "who", "allowed"), CASES)
def test_allowed_and_refused_as_the_table_says(
    verb: str, path: str, who: str, allowed: bool, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("a secret value"))
    before = AuditEvent.objects.count()
    had_effect = TRIES[verb, path](world, who)
    assert had_effect == allowed, f"{who} on {verb} by {path}"
    if allowed:
        assert AuditEvent.objects.count() >= before


def test_the_table_has_every_verb_and_every_path_is_tried() -> None:
    verbs = {DERIVED.get(row["verb"], row["verb"]) for row in TABLE}
    assert verbs | ELSEWHERE == set(Verb)
    listed = {(row["verb"], path) for row in TABLE for path in row["paths"].split(", ")}
    assert listed == set(TRIES)
    assert {cell for row in TABLE for who in WHO for cell in [row[who]]} == {"yes", "–"}


def test_the_table_agrees_with_the_roles_in_the_code() -> None:
    for row in TABLE:
        roles = {role.value for role in Verb[DERIVED.get(row["verb"], row["verb"]).upper()].rule.roles}
        documented = {who for who in ("viewer", "operator", "approver", "administrator") if row[who] == "yes"}
        assert documented == roles, row["verb"]


def test_the_table_of_scopes_is_the_one_in_the_code() -> None:
    documented = {
        verb: row["scope"]
        for row in _rows("scope")
        for verb in row["verbs"].split(", ")
        if not row["verbs"].startswith("what ")
    }
    assert documented == {verb.value: verb.rule.scope.value for verb in Verb if verb.rule.scope}

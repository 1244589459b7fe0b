"""`--plan` shows what would happen and changes nothing: not the database, not the disk, not the server."""

import hashlib
import io
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from django.db import connection

from deployments.core import portal_keys
from tests.deployments.management.commands import exit_code
from tests.fixtures.fleet import TREE, Fleet

pytestmark = pytest.mark.hosts


def database() -> str:
    """Every row of every table, as SQL."""
    with closing(sqlite3.connect(f"file:{connection.settings_dict['NAME']}?mode=ro", uri=True)) as reader:
        return "\n".join(reader.iterdump())


def disk(directory: Path) -> list[tuple[str, int, str]]:
    """Every file with its time of change and content."""
    return sorted(
        (str(path), path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in directory.rglob("*")
        if path.is_file()
    )


def server(fleet: Fleet) -> bytes:
    """Every file below the tree and in /etc with owner, mode, times of change and access, and every login so far."""
    paths = ["find", TREE, "/etc", "-printf", "%p %u %g %m %C@ %s\\n"]
    logins = ["journalctl", "--unit", "ssh", "--grep", "Accepted|Connection", "--output", "cat"]
    return fleet.machines[0].root(paths).stdout + fleet.machines[0].root(logins, check=False).stdout


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
def test_a_plan_changes_nothing_anywhere(fleet: Fleet, state_dir: Path, as_json: bool) -> None:
    fleet.enrol()
    fleet.deploy(fleet.release("1.0.0"))
    fleet.release("1.1.0")
    ended = "while pgrep -f '[a]gent-[0-9a-f]{64}' > /dev/null; do sleep 0.05; done"
    fleet.machines[0].root(["timeout", "60", "sh", "-c", ended])  # it tidies up after it has told the result
    portal_keys.require_same()  # the first process of a portal writes down its keys' fingerprints
    before = database(), disk(state_dir), server(fleet)
    out = io.StringIO()
    assert exit_code("deploy", "test", "--plan", *(["--json"] if as_json else []), out=out) == 0
    assert (database(), disk(state_dir), server(fleet)) == before
    if as_json:
        plan = json.loads(out.getvalue())["servers"][0]
        assert (plan["from"].rpartition("-")[0], plan["changed"], plan["added"], plan["removed"]) == ("1.0.0", 1, 0, 0)
        assert plan["bytes"] == len("1.1.0\n")
    else:
        assert "nothing has been changed" in out.getvalue()
        assert "1 changed" in out.getvalue()
        assert "restart → verify" in out.getvalue()


def test_what_the_plan_said_is_what_is_sealed(fleet: Fleet) -> None:
    fleet.enrol()
    release = fleet.release("1.0.0")
    out = io.StringIO()
    assert exit_code("deploy", "test", "--plan", "--json", out=out) == 0
    assert fleet.request(release).seal == json.loads(out.getvalue())["seal"]

"""In a fresh clone, and after an update, before anybody has migrated: a sentence that says so, from every command."""

import contextlib
import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deployments.management.test_documentation import OURS
from tests.portal.processes import without_settings

ROOT = Path(__file__).resolve().parents[2]
NEEDS_NONE = {"check_manifest", "github_deploy", "restore"}
"""They look at files alone; restore brings the tables with it."""
ARGUMENTS = {
    "add_release": ["pyproject.toml", "--sha256", "0" * 64],
    "approvals": ["verify"],
    "audit": ["verify"],
    "backup": ["--passphrase-file", "pyproject.toml"],
    "build_release": [],
    "drill": ["rollback", "test"],
    "alerts": ["list"],
    "silences": ["lift", "abc"],
    "drift": [],
    "enroll": ["one", "--environment", "test", "--host", "192.0.2.1"],
    "environments": ["list"],
    "history": [],
    "incident": ["list"],
    "invite": ["alice", "--role", "operator"],
    "maintenance": ["list"],
    "overview": [],
    "promote": ["test", "production"],
    "readiness": [],
    "reap": [],
    "recover": ["alice", "--reason", "a lost phone"],
    "releases": [],
    "restore_data": ["one", "1", "--reason", "a lost table"],
    "rotate_secrets": [],
    "run": ["test", "--", "id"],
    "set_secret": ["test", "cytube-password"],
    "sources": ["list"],
    "status": [],
    "storage": ["show"],
    "validate": ["report"],
}
EVERY_ONE = """
import io, json, sys
import django
django.setup()
from django.core.management import CommandError, call_command
said = {}
for name, arguments in json.load(sys.stdin).items():
    sys.stdin = io.StringIO("a secret's value")
    try:
        call_command(name, *arguments, stdout=io.StringIO(), stderr=io.StringIO())
        said[name] = "nothing"
    except BaseException as error:
        said[name] = f"{type(error).__name__}: {error}"
print(json.dumps(said))
"""


@pytest.fixture
def fresh(tmp_path: Path) -> dict[str, str]:
    """The environment of a portal whose state directory nobody has made yet."""
    return without_settings() | {"PORTAL_STATE_DIR": str(tmp_path / "state"), "PYTHONWARNINGS": "ignore"}


def python(fresh: dict[str, str], *arguments: str, given: str = "") -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=fresh, input=given, capture_output=True, text=True, timeout=120
    )


def test_every_command_that_needs_the_database_says_so(fresh: dict[str, str]) -> None:
    asked = {name: ARGUMENTS.get(name, ["1"]) for name in OURS if name not in NEEDS_NONE}
    settings = {"DJANGO_SETTINGS_MODULE": "portal.settings"}
    answer = python(fresh | settings, "-c", EVERY_ONE, given=json.dumps(asked))
    assert answer.returncode == 0, answer.stderr
    said = json.loads(answer.stdout)
    assert set(said) == set(asked)
    sentence = "CommandError: The portal's database has no tables yet."
    assert {name: text for name, text in said.items() if not text.startswith(sentence)} == {}


def test_the_way_out_that_it_names_leads_out(fresh: dict[str, str]) -> None:
    refused = python(fresh, "manage.py", "environments", "list")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.endswith("then run this again. [ops-unmigrated]\n")
    assert refused.stderr.count("\n") == 1
    assert json.loads(python(fresh, "manage.py", "environments", "list", "--json").stdout)["code"] == "ops-unmigrated"
    assert "`./manage.py migrate`" in refused.stderr
    assert python(fresh, "manage.py", "migrate", "--verbosity", "0").returncode == 0
    assert python(fresh, "manage.py", "environments", "list").returncode == 0
    earlier = "ALTER TABLE deployments_environment RENAME TO older; DELETE FROM django_migrations WHERE app = 'axes'"
    with contextlib.closing(sqlite3.connect(Path(fresh["PORTAL_STATE_DIR"]) / "portal.sqlite3")) as database:
        database.executescript(earlier)
    assert "is of an earlier version (missing migrations: " in python(fresh, "manage.py", "environments", "list").stderr
    assert "ops-unmigrated" not in python(fresh, "manage.py", "migrate").stderr, (
        "it would send people round in a circle"
    )


def test_commands_of_django_say_it_too(fresh: dict[str, str]) -> None:
    refused = python(fresh, "manage.py", "changepassword", "alice")
    assert refused.returncode == 1
    assert refused.stderr.endswith("[ops-unmigrated]\n")
    assert "Traceback" not in refused.stderr


def test_a_release_is_prepared_as_its_documentation_says(fresh: dict[str, str]) -> None:
    prepared = python(fresh, "-m", "portal.prepare")
    assert prepared.returncode == 0, prepared.stderr
    assert python(fresh, "manage.py", "environments", "list").returncode == 0

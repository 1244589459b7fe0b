"""From SQLite to PostgreSQL, as docs/scaling.md has it: a backup of the one is restored into the other."""

import json
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests import postgres
from tests.deployments.backup.test_backups import FreshMachine

HISTORY = """
from django.contrib.auth.models import Group, User
from django.db import transaction
from django.utils import timezone
from deployments.audit import trail
from deployments.core.actors import system_actor
from deployments.models import *
home = Environment.objects.get(name="test")
Secret.objects.create(environment=home, name="cytube-password", version=1, value="hunter2", created_by="olga")
olga = User.objects.create_user("olga")
olga.groups.add(Group.objects.last())
release = Release.objects.create(version="1.0.0", size=1, files=1)
for status, end in (("succeeded", timezone.now()), ("queued", None)):
    row = Deployment(environment=home, release=release, kind="deployment", status=status, finished_at=end)
    row.snapshot = {"a": [1.50, None, "ä"]}
    row.save()
LogLine.objects.create(deployment=row, text="back\\\\slash\\ttab 'quote' \\\\N \\u2603")
with transaction.atomic():
    for number in range(12):
        data = {"b": 1e-7, "a": number, "ä": None}
        trail.record(actor=system_actor("tests"), name="test.event", subject=f"thing:{number}", data=data)
"""

KEPT = """[
    str(Secret.objects.get().value),
    [[one.pk, one.snapshot, one.release.version, str(one.requested_at)] for one in Deployment.objects.order_by("pk")],
    list(LogLine.objects.values_list("text", flat=True)),
    list(__import__("django.contrib.auth").contrib.auth.models.User.objects.values_list("username", "groups__name")),
    list(AuditEvent.objects.filter(name="test.event").order_by("sequence").values_list("sequence", "hash", "data")),
]"""


@pytest.fixture
def database() -> Iterator[str]:
    if reason := postgres.unavailable_reason():
        pytest.skip(reason)
    with postgres.server() as url:
        yield url


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> FreshMachine:
    """One machine, with SQLite and a history."""
    machine = FreshMachine(tmp_path_factory.mktemp("old") / "state")
    for line in ("migrate --verbosity 0", f"shell --no-imports --command {shlex.quote(HISTORY)}"):
        done = machine.manage(*shlex.split(line))
        assert done.returncode == 0, done.stderr
    return machine


def backup(machine: FreshMachine) -> Path:
    done = machine.manage("backup", "--passphrase-file", str(machine.passphrase))
    assert done.returncode == 0, done.stderr
    return max((machine.state / "backups").glob("*.backup"))


def new(tmp_path: Path, url: str) -> FreshMachine:
    (tmp_path / "new").mkdir()
    return FreshMachine(tmp_path / "new" / "state", url)


def test_the_history_of_one_machine_goes_on_in_postgresql(old: FreshMachine, database: str, tmp_path: Path) -> None:
    machine = new(tmp_path, database)
    done = machine.restore(backup(old), "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["problems"], told["secrets"]) == ([], 1)
    assert machine.asked(KEPT) == old.asked(KEPT)
    assert machine.asked("sorted(Deployment.objects.values_list('status', flat=True))") == ["cancelled", "succeeded"]
    assert machine.manage("audit", "verify").returncode == 0
    assert "W001" not in machine.manage("check", "--database", "default").stderr, "the triggers stand"
    assert machine.asked("Secret.objects.create(environment=Environment.objects.first(), name='x', version=1).pk") == 2
    again = machine.restore(backup(old))
    assert (again.returncode, "--replace" in again.stderr) == (1, True)
    assert machine.restore(backup(old), "--replace").returncode == 0


def test_a_backup_of_other_tables_is_refused_and_changes_nothing(
    old: FreshMachine, database: str, tmp_path: Path
) -> None:
    (tmp_path / "older").mkdir()
    older = FreshMachine(shutil.copytree(old.state, tmp_path / "older" / "state"))
    done = older.manage("migrate", "deployments", "0042", "--verbosity", "0")
    assert done.returncode == 0, done.stderr
    machine = new(tmp_path, database)
    done = machine.restore(backup(older))
    assert (done.returncode, "only with the programs that it was made with" in done.stderr) == (2, True), done.stderr
    assert tables(database) == 0


def test_a_role_that_could_not_make_the_database_anew_drops_none(
    old: FreshMachine, database: str, tmp_path: Path
) -> None:
    with psycopg.connect(database.replace("postgres:", "postgresql:"), autocommit=True) as connection:
        connection.execute("CREATE ROLE plain LOGIN")
        connection.execute("ALTER DATABASE portal OWNER TO plain")
    machine = new(tmp_path, database.replace("portal@", "plain@"))
    done = machine.restore(backup(old))
    assert done.returncode == 1
    assert "The role plain may not create databases" in done.stderr
    assert tables(database) == 0, "it is still there"


def tables(url: str) -> int:
    """How many the database has."""
    with psycopg.connect(url.replace("postgres:", "postgresql:")) as connection:
        (count,) = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() or (-1,)
    return int(count)

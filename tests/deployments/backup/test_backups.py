"""Backup and restore, as an operator runs them: on a portal with a history, onto an empty machine."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection, transaction
from django.utils import timezone

from deployments.audit import trail
from deployments.backup import databases
from deployments.backup.backups import make_backup, newest
from deployments.core.actors import system_actor
from deployments.lifecycle import Kind, Status
from deployments.models import AuditEvent, BootstrapKey, ClusterBeat, Deployment, Environment, Operation, Secret, Server
from deployments.releases.artifacts import open_release
from engine.artifacts.artifact import open_artifact
from engine.artifacts.wheels import sha256_of
from engine.errors import InvalidRequest, NotAllowed
from tests.fixtures.records import MakePerson, MakeRelease

ROOT = Path(__file__).resolve().parents[3]
PASSPHRASE = "correct horse battery staple"
ACTOR = system_actor("tests")

pytestmark = pytest.mark.django_db(transaction=True)


class FreshMachine:
    """A portal's machine with nothing on it, worked by its management commands alone."""

    def __init__(self, state: Path, database: str = "") -> None:
        self.state = state
        self.passphrase = state.parent / "passphrase"
        self.passphrase.write_text(PASSPHRASE + "\n")
        kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
        self.environment = {**kept, "PORTAL_STATE_DIR": str(state)}
        if database:
            self.environment["DATABASE_URL"] = database

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def restore(self, backup: Path, *more: str) -> subprocess.CompletedProcess[str]:
        return self.manage("restore", str(backup), "--passphrase-file", str(self.passphrase), *more)

    def asked(self, expression: str) -> Any:
        script = f"import json\nfrom deployments.models import *\nprint('=' + json.dumps({expression}))"
        done = self.manage("shell", "--command", script)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.rpartition("=")[2])


@pytest.fixture
def lived_in(make_release: MakeRelease) -> Deployment:
    """A portal with a release, a secret, a queued deployment and an audit trail."""
    home = Environment.objects.get(name="test")
    Environment.objects.filter(pk=home.pk).update(fence=41)
    Secret.objects.create(environment=home, name="cytube-password", version=1, value="hunter2", created_by="olga")
    with transaction.atomic():
        for number in range(5):
            trail.record(actor=ACTOR, name="test.event", subject=f"thing:{number}", environment=home)
    ClusterBeat.objects.create(machine="ops-gone", cluster="rescue", at=timezone.now())
    return Deployment.objects.create(
        environment=home, release=make_release("1.0.0"), kind=Kind.DEPLOYMENT, status=Status.QUEUED
    )


@pytest.fixture
def backup(lived_in: Deployment, tmp_path: Path) -> Path:
    return make_backup(actor=ACTOR, directory=tmp_path / "backups", passphrase=PASSPHRASE, keep=3).path


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[FreshMachine]:
    (tmp_path / "fresh").mkdir()
    state = tmp_path / "fresh" / "state"
    if connection.vendor == "sqlite":
        yield FreshMachine(state)
        return
    name = f"restored_{os.getpid()}"
    config = connection.get_connection_params()
    with connection._nodb_cursor() as cursor:
        cursor.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        cursor.execute(f'CREATE DATABASE "{name}"')
    url = f"postgres://{config['user']}@/{name}?host={config['host']}"
    yield FreshMachine(state, url)
    with connection._nodb_cursor() as cursor:
        cursor.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def test_a_fresh_machine_becomes_the_portal_that_was_backed_up(
    backup: Path, machine: FreshMachine, lived_in: Deployment
) -> None:
    done = machine.restore(backup, "--json")
    told = json.loads(done.stdout)
    assert told["problems"] == []
    assert done.returncode == 0, done.stderr
    assert told["secrets"] == 1
    assert told["cancelled"] == [lived_in.pk]
    assert machine.asked("str(Secret.objects.get().value)") == "hunter2"
    assert machine.asked("Environment.objects.get(name='test').fence") == 41 + 10_000
    assert machine.asked("ClusterBeat.objects.count()") == 0, "workers of before, whom nobody misses"
    assert machine.asked("Deployment.objects.get().status") == "cancelled"
    assert machine.asked("list(AuditEvent.objects.order_by('-sequence').values_list('name', flat=True)[:1])") == [
        "backup.restored"
    ]
    stored = machine.state / "artifacts"
    with open_artifact(stored / str(lived_in.release.artifact.name), None, stored / "contents") as reader:
        assert hashlib.sha256(b"".join(reader.tar())).hexdigest() == lived_in.release.artifact_digest
    assert (machine.state / "secrets" / "portal_encryption_keys").stat().st_mode & 0o777 == 0o600


def test_no_backup_has_a_persons_key_to_root_and_nothing_is_done_twice_after_one(
    lived_in: Deployment, tmp_path: Path, machine: FreshMachine, ready_server: Callable[[Environment], Server]
) -> None:
    """Provisioning waits, and a restart was under way: either may have been carried out since."""
    home = lived_in.environment
    one, other = ready_server(home), ready_server(Environment.objects.get(name="production"))
    waiting = Operation.objects.create(server=one, kind=Operation.Kind.PROVISION, requested_by="olga")
    BootstrapKey.objects.create(operation=waiting, sealed="a person's key to root")
    begun = Operation.objects.create(server=other, kind=Operation.Kind.RESTART, state=Operation.State.RUNNING)
    copy = tmp_path / databases.NAMES[connection.vendor]
    counts = databases.dump(copy)
    assert (counts["deployments_operation"], counts["deployments_bootstrapkey"]) == (2, 0)
    with connection.cursor() as cursor:
        cursor.execute("SELECT sealed FROM deployments_bootstrapkey")
        sealed = cursor.fetchone()[0].encode()
    assert sealed not in copy.read_bytes()
    assert BootstrapKey.objects.get().sealed == "a person's key to root", "of the portal itself nothing is taken"
    made = make_backup(actor=ACTOR, directory=tmp_path / "backups", passphrase=PASSPHRASE, keep=1)
    done = machine.restore(made.path, "--json")
    assert (done.returncode, json.loads(done.stdout)["problems"]) == (0, []), done.stderr
    assert machine.asked("BootstrapKey.objects.count()") == 0
    assert machine.asked("sorted(Operation.objects.values_list('pk', 'state', 'outcome'))") == [
        [waiting.pk, "lost", "restored"],
        [begun.pk, "lost", "restored"],
    ]
    data = machine.asked("AuditEvent.objects.get(name='backup.restored').data['operations']")
    assert sorted(data) == [waiting.pk, begun.pk]


def test_a_backup_with_a_flipped_byte_is_refused_and_changes_nothing(backup: Path, machine: FreshMachine) -> None:
    content = bytearray(backup.read_bytes())
    content[len(content) // 2] ^= 0x01
    backup.write_bytes(content)
    done = machine.restore(backup)
    assert done.returncode == 1
    assert "altered" in done.stderr
    assert not list(machine.state.glob("*.sqlite3"))
    assert not list(machine.state.glob("restore-*"))


def test_a_backup_holds_what_releases_share_once_and_is_restored_over_what_is_there(
    lived_in: Deployment, make_release: MakeRelease, tmp_path: Path, machine: FreshMachine
) -> None:
    first = make_backup(actor=ACTOR, directory=tmp_path / "backups", passphrase=PASSPHRASE, keep=9)
    later = make_release("1.0.1")
    with open_release(later) as reader, open_release(lived_in.release) as older:
        assert len({file.sha256 for file in reader.manifest} & {file.sha256 for file in older.manifest}) > 3
    second = make_backup(actor=ACTOR, directory=tmp_path / "backups", passphrase=PASSPHRASE, keep=9)
    assert (first.artifacts, second.artifacts) == (1, 2)
    assert machine.restore(second.path).returncode == 0
    stored = machine.state / "artifacts"
    before = sorted(path.name for path in stored.rglob("*"))
    for path in stored.rglob("*"):
        if path.is_file():
            path.chmod(0o640)
            path.write_bytes(b"rotten")
            path.chmod(0o440)
    done = machine.restore(second.path, "--replace")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in stored.rglob("*")) == before
    for release in (later, lived_in.release):
        with open_artifact(stored / str(release.artifact.name), None, stored / "contents") as reader:
            assert hashlib.sha256(b"".join(reader.tar())).hexdigest() == release.artifact_digest


def test_another_passphrase_is_refused(backup: Path, machine: FreshMachine) -> None:
    machine.passphrase.write_text("not the passphrase at all")
    done = machine.restore(backup)
    assert done.returncode == 1
    assert "passphrase does not open" in done.stderr


def test_a_portal_with_a_history_is_replaced_only_when_that_is_said(backup: Path, machine: FreshMachine) -> None:
    assert machine.restore(backup).returncode == 0
    again = machine.restore(backup)
    assert again.returncode == 1
    assert "--replace" in again.stderr
    assert machine.restore(backup, "--replace").returncode == 0


def test_nothing_of_a_backup_can_be_read_without_the_passphrase(backup: Path, lived_in: Deployment) -> None:
    content = backup.read_bytes()
    for secret in (b"hunter2", str(django_settings.SECRET_KEY).encode(), b"manifest.json", b"SQLite format"):
        assert secret not in content
    assert backup.stat().st_mode & 0o777 == 0o600
    assert sha256_of(backup) in backup.with_name(f"{backup.name}.sha256").read_text()


def test_only_the_newest_stay(lived_in: Deployment, tmp_path: Path) -> None:
    directory = tmp_path / "backups"
    paths = [make_backup(actor=ACTOR, directory=directory, passphrase=PASSPHRASE, keep=2).path.name for _ in range(4)]
    assert sorted(path.name for path in directory.glob("*.backup")) == sorted(paths[-2:])
    assert len(list(directory.iterdir())) == 4
    assert newest(directory) == directory / paths[-1]


def test_every_backup_is_in_the_audit_trail(backup: Path) -> None:
    event = AuditEvent.objects.first()
    assert event is not None
    assert (event.name, event.subject) == ("backup.made", f"backup:{backup.name}")
    assert event.data["sha256"] == sha256_of(backup)


def test_a_short_passphrase_and_an_operator_are_refused(tmp_path: Path, make_person: MakePerson) -> None:
    with pytest.raises(InvalidRequest, match="at least 12"):
        make_backup(actor=ACTOR, directory=tmp_path, passphrase="short", keep=1)
    with pytest.raises(NotAllowed):
        make_backup(actor=make_person("olga", "operator"), directory=tmp_path, passphrase=PASSPHRASE, keep=1)


def test_a_backup_that_fails_leaves_nothing_behind(
    lived_in: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(target: Path) -> dict[str, int]:
        raise databases.DatabaseCopyFailed("no room")

    monkeypatch.setattr(databases, "dump", fail)
    with pytest.raises(databases.DatabaseCopyFailed):
        make_backup(actor=ACTOR, directory=tmp_path / "backups", passphrase=PASSPHRASE, keep=1)
    assert list((tmp_path / "backups").iterdir()) == []
    assert not list(tmp_path.glob("backup-*"))

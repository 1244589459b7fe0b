"""Which migrations the release that runs can bear, and which are refused before anything is switched."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.db import migrations, models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation

from portal.compatibility import HINT, problems, since_first_release

ROOT = Path(__file__).resolve().parents[2]
SERVER = "server"


def judged(monkeypatch: pytest.MonkeyPatch, *operations: Operation, **attributes: Any) -> list[str]:
    """What is said about a migration of these operations on top of ours."""
    loader = MigrationLoader(None)
    (last,) = loader.graph.leaf_nodes("deployments")
    name = "9000_next"
    fields = {"dependencies": [last], "operations": list(operations), **attributes}
    added = type("Migration", (migrations.Migration,), fields)(name, "deployments")
    load = MigrationLoader.load_disk

    def with_ours(self: MigrationLoader) -> None:
        load(self)
        self.disk_migrations["deployments", name] = added

    known = set(loader.disk_migrations)
    monkeypatch.setattr(MigrationLoader, "load_disk", with_ours)
    return problems(known)


def test_our_own_migrations_since_the_first_release_are_compatible() -> None:
    assert problems(since_first_release()) == []


@pytest.mark.parametrize(
    "operation",
    [
        migrations.AddField(SERVER, "note", models.TextField(null=True)),
        migrations.AddField(SERVER, "note", models.TextField(db_default="")),
        migrations.AddField(SERVER, "friends", models.ManyToManyField("deployments.server")),
        migrations.AlterField(SERVER, "user", models.CharField(max_length=64, default="deploy", help_text="Wider.")),
        migrations.CreateModel("Note", [("id", models.BigAutoField(primary_key=True)), ("text", models.TextField())]),
        migrations.RunPython(migrations.RunPython.noop),
        migrations.AlterModelOptions(SERVER, {"ordering": ("name",)}),
    ],
    ids=lambda operation: operation.describe(),
)
def test_what_the_running_release_never_notices_passes(operation: Operation, monkeypatch: pytest.MonkeyPatch) -> None:
    assert judged(monkeypatch, operation) == []


@pytest.mark.parametrize(
    ("operation", "why"),
    [
        (migrations.AddField(SERVER, "note", models.TextField(default="")), "demands a value"),
        (migrations.RemoveField(SERVER, "drift"), "drops a column"),
        (migrations.RenameField(SERVER, "drift", "difference"), "renames a column"),
        (migrations.AlterField(SERVER, "drift", models.JSONField(db_column="difference", default=dict)), "name"),
        (migrations.AlterField(SERVER, "host", models.CharField(max_length=20)), "max_length"),
        (migrations.AlterField(SERVER, "inspected_at", models.DateTimeField()), "null"),
        (migrations.AlterField(SERVER, "port", models.TextField()), "type"),
        (migrations.DeleteModel("PolicyChange"), "drops a table"),
        (migrations.RenameModel("Server", "Machine"), "renames a table"),
        (migrations.AlterModelTable(SERVER, "machines"), "renames a table"),
        (migrations.RunSQL("SELECT 1"), "nobody but a person"),
        (migrations.SeparateDatabaseAndState([migrations.RemoveField(SERVER, "drift")]), "drops a column"),
    ],
    ids=lambda value: value.describe() if isinstance(value, Operation) else "",
)
def test_what_the_running_release_cannot_bear_is_refused(
    operation: Operation, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (sentence,) = judged(monkeypatch, operation)
    assert sentence.startswith("deployments.9000_next (")
    assert why in sentence


def test_a_table_that_is_new_may_be_demanding(monkeypatch: pytest.MonkeyPatch) -> None:
    table = migrations.CreateModel("Note", [("id", models.BigAutoField(primary_key=True))])
    assert judged(monkeypatch, table, migrations.AddField("note", "text", models.TextField(default=""))) == []


def test_a_migration_that_could_stop_half_way_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    (sentence,) = judged(monkeypatch, atomic=False)
    assert "not atomic" in sentence


def test_what_a_person_vouches_for_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    drop = migrations.RemoveField(SERVER, "drift")
    assert judged(monkeypatch, drop, compatible_because="nothing has read it since 1.4") == []


def test_a_server_is_asked_about_what_its_running_release_lacks(tmp_path: Path) -> None:
    def check(running: Path) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "portal.compatibility", "--running", str(running)]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert check(tmp_path / "nothing-runs").returncode == 0
    release = tmp_path / "release"
    packages = release / ".envs" / "portal" / "lib" / "python3.11" / "site-packages"
    for module in ("django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "django_q", "axes"):
        source = Path(sys.modules[module].__path__[0]) / "migrations"
        copied = packages / module.replace(".", "/") / "migrations"
        copied.mkdir(parents=True)
        for path in source.glob("*.py"):
            (copied / path.name).touch()
    for app in ("deployments", "dashboard"):
        (release / app / "migrations").mkdir(parents=True)
        for path in (ROOT / app / "migrations").glob("*.py"):
            (release / app / "migrations" / path.name).touch()
    same = check(release)
    assert (same.returncode, same.stdout) == (0, "")
    for path in (release / "deployments" / "migrations").glob("0003*"):
        path.unlink()
    older = check(release)
    assert older.returncode == 1
    assert "deployments.0003" in older.stdout
    assert HINT in older.stdout

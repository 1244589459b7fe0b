"""Before a release's web process starts: the database is copied and migrated, or left as it was."""

from pathlib import Path
from typing import Any

import pytest
from django.db import connection, migrations, models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation

from deployments.audit import trail
from deployments.backup import databases
from deployments.core.actors import system_actor
from portal.prepare import KEEP, update_database


def add(monkeypatch: pytest.MonkeyPatch, *operations: list[Operation]) -> None:
    """Migrations of our own app beyond those that are applied, one per list."""
    load = MigrationLoader.load_disk
    (last,) = MigrationLoader(None).graph.leaf_nodes("deployments")

    def with_more(self: MigrationLoader) -> None:
        load(self)
        before = last
        for number, listed in enumerate(operations):
            name = f"900{number}_next"
            fields = {"dependencies": [before], "operations": listed}
            self.disk_migrations["deployments", name] = type("Migration", (migrations.Migration,), fields)(
                name, "deployments"
            )
            before = ("deployments", name)

    monkeypatch.setattr(MigrationLoader, "load_disk", with_more)


def columns() -> set[str]:
    with connection.cursor() as cursor:
        return {column.name for column in connection.introspection.get_table_description(cursor, "deployments_server")}


def fail(*_: Any) -> None:
    raise RuntimeError("no")


@pytest.fixture
def history(transactional_db: None) -> None:
    trail.record_alone(actor=system_actor("tests"), name="tests.began", subject="tests")


ONE_MORE: list[Operation] = [migrations.AddField("server", "note", models.TextField(null=True))]


def test_the_database_is_copied_and_migrated(history: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(monkeypatch, ONE_MORE)
    update_database(tmp_path / "copies", "1.1.0")
    assert "note" in columns()
    (copy,) = (tmp_path / "copies").iterdir()
    assert copy.name == f"1.1.0.{databases.NAMES[connection.vendor]}"
    assert copy.stat().st_size > 0
    assert trail.verify() == []


def test_a_failing_migration_takes_those_before_it_along(
    history: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(monkeypatch, ONE_MORE, [migrations.RunPython(fail)])
    with pytest.raises(RuntimeError):
        update_database(tmp_path / "copies", "1.1.0")
    assert "note" not in columns()
    assert ("deployments", "9000_next") not in MigrationLoader(connection).applied_migrations
    assert trail.verify() == []


def test_only_the_newest_copies_stay(history: None, tmp_path: Path) -> None:
    for number in range(KEEP + 2):
        update_database(tmp_path / "copies", f"1.{number}")
    kept = sorted(path.name.rpartition(".database")[0] for path in (tmp_path / "copies").iterdir())
    assert kept == [f"1.{number}" for number in range(2, KEEP + 2)]

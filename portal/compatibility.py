"""Whether a release's migrations leave a database that the release before it still works with.

While a portal is updated the old workers go on for a moment on the new tables, and after a failed start they go on for
good: nothing they read or write may be gone, and nothing may be demanded that they do not give. `make check` looks at
all migrations since the first release, a server at those which the running release does not have, before anything is
switched: `python -m portal.compatibility [--running DIR]`.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from django.db import models
from django.db.migrations import operations
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.migration import Migration
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

FIRST_RELEASE = {"deployments": 3, "dashboard": 2}
"""The highest number of each app's migrations that came with the first release: nothing ran before it."""
Key = tuple[str, str]

HARMLESS = (
    operations.CreateModel,
    operations.AddIndex,
    operations.RemoveIndex,
    operations.RenameIndex,
    operations.RemoveConstraint,
    operations.AlterModelOptions,
    operations.AlterModelManagers,
    operations.AlterModelTableComment,
    operations.RunPython,
)
BREAKING: dict[type[Operation], str] = {
    operations.DeleteModel: "drops a table that the running release uses",
    operations.RenameModel: "renames a table that the running release uses",
    operations.AlterModelTable: "renames a table that the running release uses",
    operations.RemoveField: "drops a column that the running release uses",
    operations.RenameField: "renames a column that the running release uses",
    operations.AddConstraint: "demands what the running release does not promise",
    operations.AlterUniqueTogether: "demands what the running release does not promise",
    operations.AlterOrderWithRespectTo: "adds a column that the running release does not fill",
    operations.RunSQL: "runs SQL, which nobody but a person can judge",
}
HINT = (
    "Add now and remove one release later. Where a person has looked at it, say so in the migration: "
    'compatible_because = "…".'
)


def problems(known: Collection[Key]) -> list[str]:
    """A sentence for everything in the migrations beyond `known` that the release which has only those cannot bear."""
    loader = MigrationLoader(None)
    state = ProjectState()
    found: list[str] = []
    fresh: set[tuple[str, str]] = set()
    for app, name in _in_order(loader):
        migration = loader.disk_migrations[app, name]
        if (app, name) not in known and not getattr(migration, "compatible_because", ""):
            found += [f"{app}.{name} {what}." for what in _judge(migration, state, fresh)]
        state = migration.mutate_state(state, preserve=False)
    return found


def since_first_release() -> set[Key]:
    """What `make check` takes for granted: our own apps' migrations up to the first release, and all of other apps."""
    return {
        (app, name)
        for app, name in MigrationLoader(None).disk_migrations
        if app not in FIRST_RELEASE or int(name[:4]) <= FIRST_RELEASE[app]
    }


def of_release(directory: Path) -> set[Key]:
    """The migrations that a release on this server brought: its own, and those of the packages in its environment."""
    roots = [directory, *directory.glob(".envs/portal/lib/python*/site-packages")]
    loader = MigrationLoader(None)
    modules = {app: loader.migrations_module(app)[0] for app in loader.migrated_apps}
    return {
        (app, path.stem)
        for app, module in modules.items()
        if module
        for root in roots
        for path in (root / module.replace(".", "/")).glob("[0-9]*.py")
    }


def _in_order(loader: MigrationLoader) -> Iterator[Key]:
    seen: set[Key] = set()
    for leaf in sorted(loader.graph.leaf_nodes()):
        for key in loader.graph.forwards_plan(leaf):
            if key not in seen and key in loader.disk_migrations:
                seen.add(key)
                yield key


def _judge(migration: Migration, state: ProjectState, fresh: set[tuple[str, str]]) -> Iterator[str]:
    """`fresh` are the tables that no release before has: whatever is done to them disturbs nobody."""
    if not migration.atomic:
        yield "is not atomic: were it to fail, half of it would stay"
    state = state.clone()
    for operation in _flat(migration.operations):
        model = str(getattr(operation, "model_name", getattr(operation, "name", ""))).lower()
        if isinstance(operation, operations.CreateModel):
            fresh.add((migration.app_label, model))
        if (migration.app_label, model) not in fresh and (why := _why_not(operation, migration.app_label, state)):
            yield f"({operation.describe()}) {why}"
        operation.state_forwards(migration.app_label, state)


def _flat(listed: Sequence[Operation]) -> Iterator[Operation]:
    for operation in listed:
        if isinstance(operation, operations.SeparateDatabaseAndState):
            yield from _flat(operation.database_operations)
        else:
            yield operation


def _why_not(operation: Operation, app: str, state: ProjectState) -> str:
    if isinstance(operation, operations.AddField):
        return _added(operation.field)
    if isinstance(operation, operations.AlterField):
        before = state.models[app, operation.model_name_lower].fields[operation.name]
        return _altered(before, operation.field)
    if why := BREAKING.get(type(operation)):
        return why
    return "" if isinstance(operation, HARMLESS) else "is of a kind that nobody has judged yet"


def _added(field: models.Field[Any, Any]) -> str:
    filled = field.null or field.many_to_many or field.db_default is not models.NOT_PROVIDED
    return "" if filled else "demands a value that the running release does not give: allow NULL, or set db_default"


def _altered(before: models.Field[Any, Any], after: models.Field[Any, Any]) -> str:
    """Only what widens a column is fine; whatever the database never hears of is none of our business."""
    old, new = (_stored(field) for field in (before, after))
    differing = {key for key in {*old, *new} if old.get(key) != new.get(key)}
    wider: dict[str, Callable[[], bool]] = {
        "null": lambda: bool(new.get("null")),
        "max_length": lambda: (new.get("max_length") or sys.maxsize) >= (old.get("max_length") or sys.maxsize),
        "db_default": lambda: "db_default" in new,
        "db_index": lambda: True,
    }
    narrowed = sorted(key for key in differing if key not in wider or not wider[key]())
    return f"alters the column's {', '.join(narrowed)}, which the running release relies on" if narrowed else ""


def _stored(field: models.Field[Any, Any]) -> dict[str, Any]:
    _, path, _, options = field.deconstruct()
    ignored = {*field.non_db_attrs, "default", "auto_now", "auto_now_add", "db_column"}
    kept = {key: value for key, value in options.items() if key not in ignored}
    return {**kept, "type": path, "name": options.get("db_column")}


def main(argv: list[str] | None = None) -> int:
    """0 when nothing is wrong; 1 with a sentence each."""
    parser = argparse.ArgumentParser(prog="python -m portal.compatibility", description=__doc__)
    parser.add_argument("--running", type=Path, help="the release that runs (default: the first one ever)")
    running = parser.parse_args(argv).running
    if running is not None and not running.exists():
        return 0  # nothing runs that could be disturbed
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["PORTAL_STATE_DIR"] = scratch  # the settings make one, and a release is nobody's to write into
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
        import django

        django.setup()
        found = problems(of_release(running) if running else since_first_release())
    if found:
        sys.stdout.write("\n".join([*found, HINT, ""]))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

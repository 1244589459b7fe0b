"""The portal on its server deploys itself: forward, and back by itself when migrations or a start fail."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from deployments.lifecycle import Status
from engine.artifacts.artifact import Artifact
from engine.commands import moving as commands
from portal.prepare import KEEP
from tests.stories.moving import move
from tests.stories.test_monitoring_role import Watching
from tests.stories.test_portal_role import Visitor, build, portal_host

__all__ = ["portal_host"]
pytestmark = [pytest.mark.hosts, pytest.mark.monitoring, pytest.mark.full, pytest.mark.xdist_group("hosts")]

ADDED = """
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("deployments", "{before}")]
    operations = [{operations}]
"""
NOTE = 'migrations.AddField("server", "note", models.TextField(null=True))'
ROLLED_BACK, FAILED = 5, 1


@dataclass
class Installed:
    """A portal on its own server, worked by its management commands there."""

    host: Watching
    scratch: Path
    visitor: Visitor = field(init=False)

    def __post_init__(self) -> None:
        self.visitor = Visitor(self.host.machine.address, timeout=60.0)  # they wait in the socket, and are served

    def manage(self, *arguments: str, stdin: bytes = b"") -> tuple[int, str]:
        """A management command on the server, as its own user; exit code and standard output."""
        command = commands.manage("rosey-bot", arguments)
        done = self.host.machine.root(list(command.argv), input=stdin, check=False, deadline=400)
        return done.returncode, done.stdout.decode()

    def add(self, version: str, change: Callable[[Path], None]) -> Artifact:
        """A release of another version, known to the portal on the server."""

        def edit(tree: Path) -> None:
            (tree / "VERSION").write_text(f"{version}\n")
            change(tree)

        artifact = build(self.scratch / version, edit)
        self.host.machine.root(["dd", "of=/tmp/release.tar", "status=none"], input=artifact.path.read_bytes())
        code, _ = self.manage("add_release", "/tmp/release.tar", "--sha256", artifact.sha256)
        assert code == 0
        return artifact

    def deploy(self, artifact: Artifact) -> tuple[int, dict[str, Any]]:
        """The portal deploys itself; how the command ends, and what it says."""
        code, out = self.manage("deploy", "test", "--release", artifact.release_id, "--reason", "a test", "--json")
        return code, json.loads(out)

    def runs(self) -> str:
        """The release that the web process says it is."""
        status, headers, body = self.visitor.get("/healthz")
        assert status == 200, body
        return headers.get("X-Release", "")

    @contextmanager
    def watched(self, version: str) -> Iterator["Watcher"]:
        """With somebody reloading a page all the time; how long that took, and how long they waited at worst."""
        began = time.monotonic()
        with Watcher(self.visitor).watching() as watcher:
            yield watcher
        longest, refused = max(watcher.waits), len(watcher.refused)
        print(f"{version}: {time.monotonic() - began:.1f} s; waited {longest:.1f} s at most, in vain {refused} times")

    def columns(self) -> str:
        """Of the table of servers."""
        script = (
            "from django.db import connection; "
            "print(connection.introspection.get_table_description(connection.cursor(), 'deployments_server'))"
        )
        return self.manage("shell", "--command", script)[1]


class Watcher:
    """Somebody who reloads a page all the time."""

    def __init__(self, visitor: Visitor) -> None:
        self.waits: list[float] = []
        self.refused: list[str] = []
        self._visitor = visitor
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        while not self._done.wait(0.1):
            began = time.monotonic()
            try:
                status, _, _ = self._visitor.get("/healthz")
            except OSError as error:
                self.refused.append(repr(error))
            else:
                if status != 200:
                    self.refused.append(str(status))
            self.waits.append(time.monotonic() - began)

    @contextmanager
    def watching(self) -> Iterator["Watcher"]:
        self._thread.start()
        try:
            yield self
        finally:
            self._done.set()
            self._thread.join()


def migration(*operations: str) -> Callable[[Path], None]:
    """One more migration of our own app for each."""

    def change(tree: Path) -> None:
        directory = tree / "deployments" / "migrations"
        for number, operation in enumerate(operations):
            before = max(path.stem for path in directory.glob("[0-9]*.py"))
            text = ADDED.format(before=before, operations=operation)
            (directory / f"900{number}_next.py").write_text(text)

    return change


def broken_start(tree: Path) -> None:
    """The database is migrated, the web process says that it is ready, and then none of its workers lives."""
    migration(NOTE)(tree)
    with (tree / "portal" / "gunicorn.py").open("a") as file:
        file.write("\n\ndef post_fork(_server, _worker):\n    raise RuntimeError('this release does not start')\n")


def broken_settings(tree: Path) -> None:
    """Nothing of it can be loaded."""
    (tree / "portal" / "urls.py").write_text("raise RuntimeError('this release cannot be loaded')\n")


def broken_workers(tree: Path) -> None:
    """The workers end as soon as they begin."""
    (tree / "portal" / "workers.py").write_text("raise SystemExit(3)\n")


def test_the_portal_updates_itself_and_comes_back_by_itself(portal_host: Watching, tmp_path: Path) -> None:
    portal_host.provision()
    first = portal_host.deploy()
    assert first.status == Status.SUCCEEDED, first.sentence
    move(portal_host)
    portal = Installed(portal_host, tmp_path)
    before = portal_host.release.identifier
    assert portal.runs() == before

    refused = portal.add("9.0.0", migration('migrations.RemoveField("server", "drift")'))
    code, told = portal.deploy(refused)
    assert (code, told["status"]) == (FAILED, "failed"), told
    assert portal.runs() == before

    for version, change, reasons in (
        ("9.1.0", migration(NOTE, "migrations.RunPython(lambda apps, editor: 1 / 0)"), ("unit_failed",)),
        ("9.2.0", broken_settings, ("unit_failed",)),
        ("9.3.0", broken_workers, ("unit_failed",)),
        ("9.4.0", broken_start, ("unit_failed", "crash_loop")),  # by when systemd is looked at
    ):
        artifact = portal.add(version, change)
        with portal.watched(version) as watcher:
            code, told = portal.deploy(artifact)
        assert (code, told["status"]) == (ROLLED_BACK, "rolled_back"), told
        assert told["outcome"] in reasons
        assert portal.runs() == before
        assert watcher.refused == [] or "crash_loop" in reasons
        if version == "9.1.0":
            assert "name='note'" not in portal.columns()

    good = portal.add("9.5.0", migration(NOTE))
    with portal.watched("9.5.0") as watcher:
        code, told = portal.deploy(good)
    assert (code, told["status"], watcher.refused) == (0, "succeeded", []), told
    assert portal.runs() == good.release_id
    assert "name='note'" in portal.columns()
    assert portal.manage("audit", "verify")[0] == 0
    assert portal.host.said("ls", "/var/lib/rosey-portal/before-update").count(".database.sqlite3") == KEEP

    code, out = portal.manage("rollback", "test", "--reason", "the one before was better", "--json")
    assert (code, json.loads(out)["status"]) == (0, "succeeded"), out
    assert portal.runs() == before

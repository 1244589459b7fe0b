"""Approving at a terminal: a person signs in there, and four eyes hold for who they are."""

import getpass
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User

from deployments.lifecycle import Status
from deployments.models import AuditEvent
from tests.deployments.world import World
from tests.fixtures.processes import environment_of

ROOT = Path(__file__).resolve().parents[3]
DEADLINE = 90.0
PASSWORD = "correct horse battery"


class Terminal:
    """A management command on a terminal of its own."""

    def __init__(self, environment: dict[str, str], *arguments: object) -> None:
        self._master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", *map(str, arguments)],
            cwd=ROOT,
            env=environment,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        self.said = ""

    def wait_for(self, text: str) -> None:
        """Read until it was said; an empty text waits for the end."""
        end = time.monotonic() + DEADLINE
        while not text or text not in self.said:
            assert time.monotonic() < end, self.said
            if not select.select([self._master], [], [], 0.2)[0]:
                continue
            try:
                self.said += os.read(self._master, 4096).decode()
            except OSError:  # nobody has the other end any more
                assert not text, self.said
                return

    def types(self, text: str) -> None:
        """Type a line."""
        os.write(self._master, f"{text}\n".encode())

    def ends(self) -> int:
        """Its exit code."""
        self.wait_for("")
        return self.process.wait(DEADLINE)


@contextmanager
def terminal(environment: dict[str, str], *arguments: object) -> Iterator[Terminal]:
    """Run a command, and end it whatever happens."""
    running = Terminal(environment, *arguments)
    try:
        yield running
    finally:
        os.close(running._master)
        if running.process.poll() is None:
            running.process.kill()
        running.process.wait()


@pytest.fixture
def environment(transactional_db: None, world: World, settings: Any, tmp_path: Path) -> dict[str, str]:
    """This test's database and artifacts, for a process of its own; people whose passwords it can check."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.PBKDF2PasswordHasher"]
    for name in ("approver", "requester"):
        user = User.objects.get(username=name)
        user.set_password(PASSWORD)
        user.save()
    return environment_of(tmp_path)


def _sign_in(running: Terminal, name: str, password: str) -> None:
    running.wait_for("User name: ")
    running.types(name)
    running.wait_for("Password: ")
    running.types(password)


def test_a_person_signs_in_and_approves(environment: dict[str, str], world: World) -> None:
    row = world.request()
    with terminal(environment, "approve", row.pk) as running:
        _sign_in(running, "approver", PASSWORD)
        assert running.ends() == 0, running.said
    assert PASSWORD not in running.said, "what is typed is not shown"
    row.refresh_from_db()
    assert row.status == Status.QUEUED
    event = AuditEvent.objects.get(name="person.signed_in")
    assert (event.actor, event.data["address"]) == ("approver", f"terminal of {getpass.getuser()}")
    assert AuditEvent.objects.get(name="deployment.approved").actor == "approver"


def test_whoever_asked_does_not_approve_there_either(environment: dict[str, str], world: World) -> None:
    row = world.request("requester")
    with terminal(environment, "approve", row.pk) as running:
        _sign_in(running, "requester", PASSWORD)
        assert running.ends() == 1
    assert "cannot be the one who decides about it" in running.said
    row.refresh_from_db()
    assert row.status == Status.AWAITING_APPROVAL


def test_a_wrong_password_is_refused_and_recorded(environment: dict[str, str], world: World) -> None:
    row = world.request()
    with terminal(environment, "approve", row.pk) as running:
        _sign_in(running, "approver", "wrong")
        assert running.ends() == 1
    assert "do not match" in running.said
    assert AuditEvent.objects.filter(name="person.sign_in_failed", subject="person:approver").exists()
    row.refresh_from_db()
    assert row.status == Status.AWAITING_APPROVAL

"""Ctrl-C and timeouts: what the process says, what it leaves behind."""

import contextlib
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments.management.waiting import INTERRUPTED_BY_KEYBOARD
from tests.fixtures.fleet import Provisioned, clean
from tests.stories.running import GO, go_on, rehearse
from tests.workflows.portals import ROOT, Portal
from tests.workflows.servers import version_on

pytestmark = pytest.mark.hosts

EXAMPLE = ROOT / "tests/data/example-bot"


@pytest.fixture
def portal(provisioned: Provisioned, tmp_path: Path, migrated: Path) -> Portal:
    """A portal without workers, and a release."""
    for machine in provisioned.machines:
        clean(machine)
    portal = Portal(tmp_path)
    portal.prepare(provisioned, migrated)
    built = portal.manage("build_release", "--source", str(EXAMPLE))
    assert built.returncode == 0, built.stderr
    return portal


def _heed_ctrl_c() -> None:
    """Tests that run in the background of a shell inherit that Ctrl-C is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Command:
    """A management command as a process of its own, as a shell runs it in the foreground."""

    def __init__(self, portal: Portal, output: Path, *argv: str, terminal: bool = False) -> None:
        self._output = output
        ours, theirs = pty.openpty() if terminal else (-1, os.open(output, os.O_WRONLY | os.O_CREAT, 0o600))
        self._process = subprocess.Popen(
            [sys.executable, "manage.py", *argv],
            cwd=ROOT,
            env=portal.environment | {"TERM": "xterm", "COLUMNS": "200"},
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=_heed_ctrl_c,
        )
        os.close(theirs)
        if terminal:
            output.touch()
            threading.Thread(target=self._copy, args=(ours,), daemon=True).start()

    def _copy(self, terminal: int) -> None:
        with self._output.open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while block := os.read(terminal, 4096):  # ends with an error when the other side is closed
                file.write(block)
        os.close(terminal)

    def wait_for(self, text: str) -> None:
        """Wait until it has printed `text`."""
        end = time.monotonic() + 60
        while text not in self.said:
            assert self._process.poll() is None, self.said
            assert time.monotonic() < end, self.said
            time.sleep(0.05)

    def interrupt(self) -> None:
        """Ctrl-C."""
        os.killpg(self._process.pid, signal.SIGINT)

    def code(self) -> int:
        """Its exit code, once it has ended."""
        return self._process.wait(60)

    def stop(self) -> None:
        """Make sure that it has ended."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    @property
    def said(self) -> str:
        return self._output.read_text()


@pytest.fixture
def commands(portal: Portal, tmp_path: Path) -> Iterator[list[Command]]:
    started: list[Command] = []
    yield started
    for command in started:
        command.stop()


def test_ctrl_c_says_that_the_deployment_goes_on_and_how_to_cancel_it(
    portal: Portal, commands: list[Command], tmp_path: Path
) -> None:
    command = Command(portal, tmp_path / "said", "deploy", "test", terminal=True)
    commands.append(command)
    command.wait_for("Queued")  # the live line, which only a terminal shows
    assert "\x1b[" in command.said
    command.interrupt()
    assert command.code() == INTERRUPTED_BY_KEYBOARD
    assert "Deployment 1 goes on without this terminal" in command.said
    assert "manage.py cancel 1" in command.said
    assert "Traceback" not in command.said
    cancelled = portal.manage("cancel", "1")
    assert (cancelled.returncode, "Cancelled" in cancelled.stdout) == (0, True), cancelled.stderr


def test_inline_the_first_ctrl_c_is_answered_and_the_second_leaves_it_to_the_server(
    portal: Portal, commands: list[Command], provisioned: Provisioned, tmp_path: Path
) -> None:
    test = provisioned.machines[0]
    rehearse(test, "restart", GO)
    command = Command(portal, tmp_path / "first", "deploy", "test", "--inline")
    commands.append(command)
    command.wait_for("held")
    assert "\x1b[" not in command.said
    command.interrupt()
    command.wait_for("goes on, in this process")
    command.interrupt()
    assert command.code() == INTERRUPTED_BY_KEYBOARD
    assert "Traceback" not in command.said
    go_on(test)
    end = time.monotonic() + 20  # less than the lease of a worker that dies without a word
    while "#1" not in (reaped := portal.manage("reap").stdout):
        assert time.monotonic() < end, reaped
    assert "succeeded" in reaped, reaped
    assert version_on(test) == "1.0.0"

"""A tree in a temporary directory, and a server played from a script, for what needs neither root nor systemd."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.host.agent.fake_machine import NOBODY, Machine
from engine.host.agent.tree import Tree
from tests.engine.host.runs import UNIT


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    for name in ("releases", "envs", "shared/config", "shared/data", "shared/secrets", "backups", ".deploy/manifests"):
        (tmp_path / name).mkdir(parents=True)
    return Tree(str(tmp_path))


@pytest.fixture
def machine(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """A server on which the bot's unit runs; this user may read its journal."""
    machine = Machine(str(tmp_path_factory.mktemp("machine")))
    machine.unit(UNIT, ActiveState="active", SubState="running", MainPID=str(NOBODY), InvocationID="at-first")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr("engine.host.agent.watch.WATCH", 0.01)
    term = signal.getsignal(signal.SIGTERM)
    with machine.playing():
        yield machine
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGTERM, term)

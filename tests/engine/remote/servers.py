"""A provisioned real host as a test sees it: the portal's way in, and the truth by another (as root, without SSH)."""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from engine.commands.agent import source
from engine.commands.provisioning import ServerSetup, operations
from engine.remote import AgentClient, Result, RolePlan, RunPlan, provision
from engine.remote.result import Record
from engine.ssh.address import Address
from engine.ssh.keys import HostKey, PrivateKey, generate_key
from engine.ssh.session import Session
from sandbox.hosts import Host, HostSet
from tests.engine.remote.releases import NAME, UNIT, UNIT_FILE, URL, Release, plan

ROOT = f"/opt/{NAME}"

WIPE = f"""
systemctl stop {UNIT}; systemctl reset-failed {UNIT}
cd {ROOT} && rm -rf current releases/* releases/.[!.]* envs/* shared/config/* shared/config/.[!.]* \
  shared/data/* shared/secrets/* backups/* .deploy/manifests/* .deploy/rehearsal .deploy/journal* .deploy/fence* \
  .deploy/lock .deploy/cancel .deploy/secrets.json
true
"""


class Server:
    """One host with the tree of the service on it."""

    def __init__(self, hosts: HostSet, host: Host) -> None:
        self.host = host
        self.private, self.public = generate_key("tests")
        self.key = PrivateKey(self.private)
        self._bootstrap = PrivateKey(hosts.bootstrap_key.read_text())

    @property
    def host_key(self) -> HostKey:
        return HostKey.parse(self.host.host_key)

    @property
    def address(self) -> Address:
        return Address(self.host.address, self.host.port, "rosey", self.host_key)

    def setup(self, **changes: Any) -> ServerSetup:
        usual: dict[str, Any] = {
            "name": NAME,
            "units": {UNIT: UNIT_FILE},
            "public_keys": [self.public],
            "agent": source("agent"),
            "clock": time.time(),
            "private_ports": [8001],
        }
        return ServerSetup(**{**usual, **changes})

    def bootstrap(self) -> Session:
        return Session(Address(self.host.address, self.host.port, "root", self.host_key), self._bootstrap)

    def provision(self, **changes: Any) -> None:
        with self.bootstrap() as session:
            provision(session, operations(self.setup(**changes)), sudo=False)

    @contextlib.contextmanager
    def client(self) -> Iterator[AgentClient]:
        with Session(self.address, self.key) as session:
            yield AgentClient(session, NAME)

    def wipe(self) -> None:
        """As provisioning left it."""
        self.host.root(["sh", "-c", WIPE])

    def run(
        self, artifact: Release, fence: int, on_record: Callable[[Record], None] = lambda record: None, **changes: Any
    ) -> Result:
        """One run over a connection of its own."""
        return self.carry_out(plan(artifact, fence, **changes), artifact, on_record)

    def carry_out(
        self, wanted: RunPlan, artifact: Release, on_record: Callable[[Record], None] = lambda record: None
    ) -> Result:
        with self.client() as client:
            return client.run(wanted, artifact, on_record)

    # the truth

    def shell(self, script: str) -> str:
        return self.host.root(["sh", "-c", script], check=False).stdout.decode().strip()

    @property
    def current(self) -> str | None:
        link = self.shell(f"readlink {ROOT}/current")
        return link.rpartition("/")[2] or None

    @property
    def releases(self) -> list[str]:
        return self.shell(f"ls {ROOT}/releases").split()

    @property
    def unit(self) -> str:
        return self.shell(f"systemctl is-active {UNIT}")

    def answer(self) -> dict[str, Any]:
        """What the service says of itself, {} when it does not answer."""
        said = self.shell(f"curl -s -m 2 -w '\\n' -D /tmp/head {URL}; grep -i '^x-release' /tmp/head")
        body, _, header = said.partition("\n")
        try:
            return {**json.loads(body), "release": header.partition(":")[2].strip()}
        except ValueError:
            return {}

    def rows(self) -> int:
        """Starts that the service has written down."""
        count = (
            "import sqlite3; print(sqlite3.connect('/opt/rosey-bot/shared/data/bot.db')"
            ".execute('select count(*) from starts').fetchone()[0])"
        )
        return int(self.host.root(["python3", "-c", count]).stdout)

    def rehearse(self, moment: str, script: str) -> None:
        """Have the agent run a script before a step, or after its work (`<step>-end`)."""
        path = f"{ROOT}/.deploy/rehearsal/{moment}"
        text = f"#!/bin/sh\n{script}\n"
        self.host.root(
            ["sh", "-c", f"mkdir -p {ROOT}/.deploy/rehearsal && cat > {path} && chmod 755 {path}"], text.encode()
        )

    def end_rehearsals(self) -> None:
        self.shell(f"rm -rf {ROOT}/.deploy/rehearsal")

    def lock_owner(self) -> dict[str, Any]:
        owner: dict[str, Any] = json.loads(self.shell(f"cat {ROOT}/.deploy/lock") or "{}")
        return owner

    def assert_tidy(self) -> None:
        """No lock is held, no process of a run is left, nothing half-made lies about."""
        # the agent of the last question may just be on its way out
        self.wait("! pgrep -f '[a]gent-[0-9a-f]{64}'", deadline=60)
        marked = self.shell("grep -lz '^DEPLOYMENT_RUN=' /proc/[0-9]*/environ 2>/dev/null")
        assert marked == "", f"processes of a step still run: {marked}"
        assert self.shell(f"flock -n {ROOT}/.deploy/lock true && echo free") == "free"
        left = self.shell(f"find {ROOT} -name '.staging-*' -o -name '.trash-*' -o -name '*.tmp' -o -name '*.new'")
        assert left == "", f"left behind: {left}"

    def assert_runs(self, wanted: Release) -> None:
        """The release is current and whole, and the service that answers is of it, and of nothing else."""
        assert self.current == wanted.identifier
        said = self.wait_answer()
        assert (said["version"], said["release"]) == (wanted.version, wanted.identifier)
        assert self.unit == "active"
        with self.client() as client:
            found = client.matches(wanted.manifest.files, wanted.identifier)
        assert found.reason == "whole", found.sentence

    def wait_answer(self, deadline: float = 60.0) -> dict[str, Any]:
        ends = time.monotonic() + deadline
        while time.monotonic() < ends:
            if said := self.answer():
                return said
            time.sleep(0.05)
        raise AssertionError(f"the service does not answer; {self.shell(f'journalctl -n 20 --no-pager -u {UNIT}')}")

    def wait(self, script: str, deadline: float = 60.0) -> None:
        """Until a shell condition on the host is true."""
        ends = time.monotonic() + deadline
        while self.host.root(["sh", "-c", script], check=False).returncode != 0:
            assert time.monotonic() < ends, f"not within {deadline} s: {script}"
            time.sleep(0.05)


class Background:
    """A run on a thread of its own; `wait_for` its records, then `result` or `error`."""

    def __init__(self, server: Server, wanted: RunPlan, artifact: Release) -> None:
        self.records: list[Record] = []
        self.outcome: Result | None = None
        self.error: Exception | None = None
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._work, args=(server, wanted, artifact), daemon=True)
        self._thread.start()

    def _work(self, server: Server, wanted: RunPlan, artifact: Release) -> None:
        try:
            self.outcome = server.carry_out(wanted, artifact, self._take)
        except Exception as error:  # noqa: BLE001 - the test looks at it
            self.error = error
        with self._news:
            self._news.notify_all()

    def _take(self, record: Record) -> None:
        with self._news:
            self.records.append(record)
            self._news.notify_all()

    def wait_for(self, deadline: float = 60.0, **fields: Any) -> Record:
        """The first record with these fields."""

        def found() -> Record | None:
            return next((r for r in self.records if fields.items() <= r.items()), None)

        with self._news:
            arrived = self._news.wait_for(lambda: found() or not self._thread.is_alive(), deadline)
        record = found()
        assert arrived
        assert record, f"no {fields}; {self.error or self.outcome}; {self.records[-3:]}"
        return record

    def result(self, deadline: float = 60.0) -> Result:
        self._thread.join(deadline)
        assert not self._thread.is_alive(), "the run goes on"
        if self.error:
            raise self.error
        assert self.outcome
        return self.outcome


def role_units(roles: list[RolePlan]) -> list[str]:
    return [unit for role in roles for unit in role.units]

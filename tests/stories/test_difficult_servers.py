"""Servers as people have them, from enrolment to decommissioning: success, or one sentence with a way out that works.

`make test` takes a sample by the printed FAULT_SEED, `make test-full` all of `sandbox.hosts.difficult`.
"""

import os
import random
import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deployments.core import sessions
from deployments.core.actors import shell_actor
from deployments.execution.run import execute
from deployments.lifecycle import Status
from deployments.models import Deployment, Environment, Release, Server
from deployments.requests.requests import request_deployment
from deployments.requests.rollbacks import request_rollback
from deployments.servers.decommissioning import decommission_server
from deployments.servers.enrolment import enrol_server
from deployments.servers.inspection import find_drift, verify_environment
from deployments.servers.provisioning import provision_server
from engine.errors import PortalError
from engine.remote.bootstrap import Bootstrap
from engine.ssh.keys import PrivateKey
from sandbox.hosts import Host, HostSet
from sandbox.hosts.difficult import DIFFICULT, STEPS, Difficulty
from tests.fixtures.difficult import DOCUMENT, SAYS, WORKS, recorded
from tests.fixtures.fleet import Fleet, Provisioned
from tests.fixtures.reliability import fault_seed

SAMPLE = 2
USUAL = sorted(name for name, case in DIFFICULT.items() if case.image == "bare" and "mute" not in case.made_by)
"""What the sample is of: another image takes a minute to make, and who waits for a name server waits long."""
CHOSEN = random.Random(fault_seed()).sample(USUAL, SAMPLE)
NAMED = "web-01.example"


def test_the_page_tells_of_every_difficult_server() -> None:
    rows = [row.strip("| ").split(" | ") for row in DOCUMENT.read_text().splitlines() if row.startswith("| ")]
    table = {row[0]: row[1:] for row in rows if len(row) == 1 + len(STEPS) and row[0] != "server"}
    assert list(table) == list(DIFFICULT), "run all of tests/stories/test_difficult_servers.py: it writes the page"
    said = {(row[0], row[1]): row[2] for row in rows if len(row) == 4}
    for name, case in DIFFICULT.items():
        assert table[name] == [SAYS if step in case.says else WORKS for step in STEPS], name
        for step, words in case.says.items():
            assert words in said[name, step], (name, step)


class Life:
    """What is done with a server, each step as a word that comes back: what it said where it said no."""

    def __init__(self, fleet: Fleet, case: Difficulty) -> None:
        self.fleet, self.case, self.user = fleet, case, "root"
        self.machine: Host = fleet.machines[0]
        self.first, self.second = fleet.release("1.0.0"), fleet.release("1.0.1")
        self.key = PrivateKey(fleet.provisioned.hosts.bootstrap_key.read_text())

    def make_difficult(self) -> None:
        self.machine.root(["sh", "-c", self.case.made_by])
        self.machine.wait_ready()  # an sshd that reads its configuration again listens anew

    def way_out(self) -> None:
        self.machine.root(["sh", "-c", self.case.way_out])
        self.machine.wait_ready()
        self.user = self.case.bootstrap

    def attempt(self, step: str) -> str:
        """The sentence with which the portal says no, with its hint; "" where the step was done."""
        for session, _ in sessions._WARM._idle.values():
            session.close()
        try:
            said = getattr(self, step)()
        except PortalError as error:
            return str(error)
        return str(said or "")

    def enroll(self) -> None:
        enrol_server(
            actor=shell_actor("tester"),
            name="dice-1",
            environment=self.fleet.environment,
            host=self.machine.address if self.case.reached == "address" else NAMED,
            port=22,
            user="",
            roles=["bot"],
            fingerprint=self.machine.fingerprint,
            confirm=lambda key, pinned: False,
        )

    def provision(self) -> None:
        provision_server(actor=self.fleet.actor, server=self.server, release=self.first, bootstrap=self.bootstrap)

    def deploy(self) -> str:
        """Both releases, so that there is one to go back to."""
        return self.deployed(self.first) or self.deployed(self.second)

    def deployed(self, release: Release) -> str:
        asked = request_deployment(actor=shell_actor("tester"), release=release, environment=self.fleet.environment)
        return self.carried_out(asked)

    def rollback(self) -> str:
        return self.carried_out(
            request_rollback(actor=self.fleet.actor, environment=self.fleet.environment, reason="x", to=self.first)
        )

    def carried_out(self, asked: Deployment) -> str:
        execute(asked.pk)
        asked.refresh_from_db()
        return "" if asked.status == Status.SUCCEEDED else asked.sentence

    def verify(self) -> str:
        return self.found(verify_environment)

    def drift(self) -> str:
        return self.found(find_drift)

    def found(self, look: Callable[..., Any]) -> str:
        [finding] = look(actor=self.fleet.actor, environment=self.fleet.environment)
        return "" if finding.well else finding.sentence

    def decommission(self) -> None:
        decommission_server(actor=self.fleet.actor, server=self.server, bootstrap=self.bootstrap)
        assert self.server.state == Server.State.RETIRED

    @property
    def bootstrap(self) -> Bootstrap:
        return Bootstrap(self.user, (self.key,))

    @property
    def server(self) -> Server:
        return self.fleet.server()


@pytest.fixture
def difficult(
    transactional_db: None, state_dir: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Life]:
    """A bare host of this test's own, and a portal that does not know it; it goes with the test."""
    with HostSet(f"difficult-{os.getpid()}") as hosts:
        hosts.up(1, request.param.image)
        Environment.objects.filter(name="test").update(bake_seconds=0)
        yield Life(Fleet(Provisioned(hosts, hosts.hosts, "", "", {}), tmp_path), request.param)


@pytest.fixture
def named(difficult: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name of the server's whose first address is of a network that nobody has (RFC 3849)."""
    real = socket.getaddrinfo

    def resolve(host: Any, *given: Any, **named: Any) -> Any:
        if host != NAMED:
            return real(host, *given, **named)
        return [*real("2001:db8::7", *given, **named), *real(difficult.machine.address, *given, **named)]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


@pytest.mark.hosts
@pytest.mark.parametrize(
    ("difficult", "name"),
    [
        pytest.param(case, name, id=name, marks=[] if name in CHOSEN else [pytest.mark.full])
        for name, case in DIFFICULT.items()
    ],
    indirect=["difficult"],
)
@pytest.mark.usefixtures("named")
def test_every_step_works_or_says_what_helps(
    difficult: Life, name: str, record_property: Callable[[str, object], None]
) -> None:
    life, case, ended = difficult, DIFFICULT[name], dict.fromkeys(STEPS, "")
    for step in STEPS:
        if step == STEPS[0] or case.comes_back:
            life.make_difficult()
        ended[step] = life.attempt(step)
        assert bool(ended[step]) == (step in case.says), f"{step}: {ended[step] or 'works'}"
        if ended[step]:
            assert case.says[step] in ended[step], step
            follow(life, ended[step])
            assert life.attempt(step) == "", f"{step}, after what its sentence says was done"
    record_property(*recorded(name, ended))


def follow(life: Life, said: str) -> None:
    """Do what a sentence says, with what provisioning says where it says to ask that: never in a circle."""
    if life.case.hint not in said:
        assert re.search(r"\bprovision\b", said), f"a way out: {said}"
        said = life.attempt("provision")
        assert life.case.says["provision"] in said
        assert life.case.hint in said
    life.way_out()

"""A server on which an earlier portal's agent lies, works or died is this portal's from its first deployment on."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from engine.commands import agent as agent_program
from engine.remote import client
from engine.remote.result import Record
from engine.ssh.errors import LinkLost
from tests.engine.remote.releases import Release, plan
from tests.engine.remote.servers import ROOT, Background, Server

pytestmark = pytest.mark.hosts

EARLIER = agent_program.source("agent") + b"\n# as an earlier portal sent it\n"
EARLIER_FILE = f"agent-{hashlib.sha256(EARLIER).hexdigest()}.py"
PRESENT_FILE = f"agent-{agent_program.agent_digest()}.py"


@contextmanager
def earlier_portal() -> Iterator[None]:
    """While this lasts, we send the earlier agent."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(agent_program, "agent_digest", lambda: EARLIER_FILE[6:-3])
        patch.setattr(client, "source", lambda name: EARLIER)
        yield


@pytest.fixture
def earlier(server: Server, old: Release) -> Iterator[Server]:
    """As an earlier portal has provisioned it and deployed to it."""
    server.shell(f"rm -rf {ROOT}/.deploy/agent* {ROOT}/.deploy/__pycache__")
    with earlier_portal():
        server.provision(agent=EARLIER)
        assert server.run(old, 1).status == "succeeded"
    assert agents(server) == [EARLIER_FILE]
    yield server
    server.shell(f"rm -rf {ROOT}/.deploy/agent* {ROOT}/.deploy/__pycache__")
    server.provision()


def agents(server: Server) -> list[str]:
    """The agents on a server, the one that a boot would start last."""
    return server.shell(f"cd {ROOT}/.deploy && ls agent-*.py | grep -v $(readlink agent.py); readlink agent.py").split()


def test_what_it_deployed_is_gone_on_from(earlier: Server, old: Release, new: Release) -> None:
    result = earlier.run(new, 2, base=old)
    assert result.status == "succeeded", result
    assert result.facts["stage"]["linked"] > 0
    earlier.assert_runs(new)
    assert agents(earlier) == [EARLIER_FILE, PRESENT_FILE]
    with earlier.client() as conversation:
        assert [record["kind"] for record in conversation.journal("1")][-1] == "result"
    earlier.assert_tidy()


@pytest.mark.parametrize("moment", ["stage", "activate-end", "verify"])
def test_what_it_left_unfinished_is_settled_first(earlier: Server, old: Release, new: Release, moment: str) -> None:
    earlier.rehearse(moment, "echo held; exec sleep 600")
    with earlier_portal():
        run = Background(earlier, plan(new, 2, base=old), new)
        run.wait_for(kind="log", stream="rehearsal", text="held")
        owner = earlier.lock_owner()
        earlier.host.root(["kill", "-STOP", str(owner["pid"]), str(owner["worker"])])
        earlier.host.root(["kill", "-KILL", str(owner["pid"]), str(owner["worker"])])
    with pytest.raises(LinkLost):
        run.result()
    earlier.end_rehearsals()
    records: list[Record] = []
    result = earlier.run(new, 3, records.append, base=old)
    assert result.status == "succeeded", result
    settled = records[0]["recovered"]["settled"]
    assert (settled["deployment"], settled["reason"]) == ("2", "agent_died")
    assert settled["status"] == ("failed" if moment == "stage" else "reverted")
    earlier.assert_runs(new)
    earlier.assert_tidy()


def test_a_boot_before_our_first_deployment_is_still_its_own(earlier: Server, old: Release, new: Release) -> None:
    """We ask about it, and it answers with our agent; the one that a boot starts stays until we change something."""
    with earlier.client() as conversation:
        assert conversation.inspect()["current"] == old.identifier
    said = earlier.shell(f"/usr/bin/python3 -I -S {ROOT}/.deploy/agent.py recover --boot")
    assert '"status":"succeeded"' in said
    assert agents(earlier) == [PRESENT_FILE, EARLIER_FILE]

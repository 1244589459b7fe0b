"""Whatever breaks at whatever step of a run: the server ends on the old or the new release and says so truly.

The matrix is generated from the agent's own list of steps, so a new step is covered by itself. A rehearsal (a script
that the agent runs before a step's work, or after it) holds the run at the moment in question.
"""

import contextlib
import itertools
from collections.abc import Callable

import pytest

from engine.host.agent.run import STEPS
from engine.remote import Result
from engine.ssh.errors import LinkLost
from tests.engine.remote.releases import DEADLINES, Release, plan
from tests.engine.remote.servers import ROOT, Background, Server

pytestmark = pytest.mark.hosts

HOLD = "echo held; exec sleep 600"
GO = "echo held; until test -e /tmp/go; do sleep 0.05; done"
MOMENTS = [moment for step in STEPS for moment in (step, f"{step}-end")]

CHANGED_BY = ("activate-end", "restart", "restart-end", "verify", "verify-end")
"""The moments at which something has to be undone."""


class Fault:
    """A run of the new release over the old one, held at a moment."""

    def __init__(
        self, server: Server, old: Release, new: Release, moment: str, script: str, **deadlines: float
    ) -> None:
        self.server, self.old, self.new, self.moment = server, old, new, moment
        server.shell("rm -f /tmp/go")
        server.rehearse(moment, script)
        wanted = plan(new, 2, base=old, deadlines={**DEADLINES, **deadlines})
        self.run = Background(server, wanted, new)
        self.run.wait_for(kind="log", stream="rehearsal", text="held")

    @property
    def step(self) -> str:
        return self.moment.removesuffix("-end")

    def kill(self, *who: str) -> None:
        owner = self.server.lock_owner()
        pids = [str(owner[name]) for name in who]
        self.server.host.root(["kill", "-STOP", *pids])  # none of them sees another one die
        self.server.host.root(["kill", "-KILL", *pids])

    def recovered(self) -> Result:
        with self.server.client() as client:
            return client.recover()


def worker_killed(fault: Fault) -> Result:
    fault.kill("worker")
    return fault.run.result()


def supervisor_killed(fault: Fault) -> Result:
    fault.kill("pid")
    with pytest.raises(LinkLost) as lost:
        fault.run.result()
    assert lost.value.last_seq > 0
    fault.server.wait(f"flock -n {ROOT}/.deploy/lock true")
    # nobody has told the worker to: it noticed by itself
    assert '"kind":"result"' in fault.server.shell(f"tail -1 {ROOT}/.deploy/journal.jsonl")
    return fault.recovered()


def both_killed(fault: Fault) -> Result:
    fault.kill("pid", "worker")
    with pytest.raises(LinkLost):
        fault.run.result()
    return fault.recovered()


def link_cut_for_good(fault: Fault) -> Result:
    host = fault.server.host
    host.link(False)
    # nobody can tell the agent anything now; at the step's deadline it acts by itself
    fault.server.wait(f"flock -n {ROOT}/.deploy/lock true")
    before = fault.server.current
    host.link(True)
    with contextlib.suppress(LinkLost):  # the connection may have survived, and then tells in the end
        fault.run.result()
    result = fault.recovered()
    assert fault.server.current == before
    return result


def link_cut_for_a_moment(fault: Fault) -> Result:
    fault.server.host.link(False)
    fault.server.shell("sleep 2")
    fault.server.host.link(True)
    fault.server.shell("touch /tmp/go")
    return fault.run.result()


def sshd_killed(fault: Fault) -> Result:
    fault.server.shell("pkill -KILL -x sshd; systemctl restart ssh")
    with pytest.raises(LinkLost):
        fault.run.result()
    fault.server.shell("touch /tmp/go")
    fault.server.wait(f"flock -n {ROOT}/.deploy/lock true")
    return fault.recovered()


def power_cut(fault: Fault) -> Result:
    fault.server.host.power_off()
    fault.server.host.power_on()
    fault.server.host.wait_ready()
    with pytest.raises(LinkLost):
        fault.run.result()
    # the boot itself has put the tree in order, before our unit started and without the portal
    assert fault.server.current in (fault.old.identifier, fault.new.identifier)
    ended = "systemctl show -p ExecMainExitTimestampMonotonic --value rosey-bot-recover.service | grep -qvx 0"
    fault.server.wait(ended)  # people may sign in before it has ended; asked earlier, the agent settles without it
    booted = fault.server.shell("systemctl show -p Result --value rosey-bot-recover.service")
    assert booted == "success"
    result = fault.recovered()
    assert result.facts["since_boot"]["healthy"] is True, result.facts["since_boot"]
    return result


def cancelled(fault: Fault) -> Result:
    with fault.server.client() as client:
        result = client.cancel("2", 2)
    assert result.facts["left"] == 0
    assert fault.run.result().status == result.status
    return result


def failed(fault: Fault) -> Result:
    fault.server.shell("touch /tmp/go")
    return fault.run.result()


def hung(fault: Fault) -> Result:
    return fault.run.result()


Strike = Callable[[Fault], Result]
FAULTS: dict[Strike, tuple[str, bool]] = {
    # how the run is held, and whether it goes on afterwards as if nothing had been
    worker_killed: (HOLD, False),
    supervisor_killed: (HOLD, False),
    both_killed: (HOLD, False),
    link_cut_for_good: (HOLD, False),
    link_cut_for_a_moment: (GO, True),
    sshd_killed: (GO, True),
    power_cut: (HOLD, False),
    cancelled: (HOLD, False),
    failed: (f"{GO}; exit 1", False),
    hung: (HOLD, False),
}
SHORT = 1.5  # seconds that the held step may take, for faults that end at its deadline
ALWAYS = {  # one of each kind where it hurts most; the whole matrix is for `make test-full`
    ("restart", link_cut_for_good),
    ("activate-end", both_killed),
    ("activate-end", power_cut),
    ("verify", supervisor_killed),
    ("verify", worker_killed),
    ("stage-end", power_cut),
    ("verify", sshd_killed),
    ("restart", cancelled),
    ("backup", hung),
    ("prune", power_cut),
    ("prune", both_killed),
    ("dependencies", cancelled),
    ("activate", link_cut_for_a_moment),
}


def matrix() -> list[object]:
    return [
        pytest.param(
            moment,
            strike,
            id=f"{moment}-{strike.__name__}",
            marks=[] if (moment, strike) in ALWAYS else [pytest.mark.full],
        )
        for moment, strike in itertools.product(MOMENTS, FAULTS)
    ]


def expected(moment: str, strike: Strike) -> tuple[str, bool]:
    """The status, and whether the new release stays."""
    if moment.startswith("prune") or FAULTS[strike][1]:
        return "succeeded", True
    if strike is cancelled:
        return "cancelled", False
    return ("reverted" if moment in CHANGED_BY else "failed"), False


@pytest.mark.parametrize(("moment", "strike"), matrix())
def test_a_fault_leaves_the_old_or_the_new_release(
    running: Server, old: Release, new: Release, moment: str, strike: Strike
) -> None:
    rows = running.rows()
    short = {moment.removesuffix("-end"): SHORT} if strike in (link_cut_for_good, hung) else {}
    fault = Fault(running, old, new, moment, FAULTS[strike][0], **short)
    result = strike(fault)
    status, stays = expected(moment, strike)
    assert (result.status, result.deployment) == (status, "2"), result
    assert result.sentence
    running.end_rehearsals()
    running.assert_runs(new if stays else old)
    running.assert_tidy()
    assert running.rows() >= rows
    if not stays:
        assert running.releases == [old.identifier]
    with running.client() as client:
        journal = client.journal("2")
        assert [record for record in journal if record["kind"] == "result"][-1]["status"] == status
        assert client.recover().status == status  # asking again changes nothing
    again = running.run(new, 3, base=new if stays else old)
    assert again.status == "succeeded", again
    running.assert_runs(new)

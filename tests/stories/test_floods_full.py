"""At full size: servers whose shell start files flood whoever comes; everything ends in one sentence, within bounds."""

import json
import resource
from collections.abc import Callable, Iterator

import pytest

from deployments.core.actors import shell_actor
from deployments.environments.secrets import set_secret
from deployments.execution.reaper import reap
from deployments.lifecycle import FINAL, Status
from deployments.models import Deployment, LogLine, Secret, Step, Target
from deployments.servers.adoption import adopt_server
from deployments.servers.inspection import find_drift, verify_environment
from engine.errors import PortalError
from engine.ssh.errors import Flooded
from sandbox.hosts import Host
from tests.fixtures.fleet import TREE, Fleet, make_ready, setup_for

pytestmark = [pytest.mark.hosts, pytest.mark.full]

CANARY = "canary-9f31c7d2e8"
RECORDS = json.dumps({"kind": "log", "seq": 7, "step": "stage", "text": f"{CANARY} {'x' * 300}"})
STEPS = f"""python3 - <<'X'
for n in range(1, 10**9):
    begin = '{{"kind":"step","seq":%d,"step":"s%d","state":"ok","facts":{{"{CANARY}":[' % (n, n)
    print(begin + '[],' * 30000 + '[]]}}}}')
X"""
FLOODS = {
    "records": f"yes '{RECORDS}'",
    "signs of life": f'yes \'{{"kind":"alive","x":"{CANARY}"}}\'',
    "an endless line": f"yes 'first {CANARY}' | tr -d '\\n'",
    "escape sequences": f"yes \"$(printf '\\033]0;{CANARY}\\007\\033[31m')\"",
    "steps": STEPS,
    "a steady stream": f"while :; do yes '{RECORDS}' | head -c 700000; sleep 1; done",
}
MOST_MEMORY = 700 << 10  # KiB that this process may grow by, in all; without bounds one flood took twice that


@pytest.fixture
def ready(fleet: Fleet) -> Iterator[Fleet]:
    """One server that runs a release, whose environment has a secret."""
    fleet.enrol()
    assert fleet.deploy(fleet.release("1.0.0")).status == Status.SUCCEEDED
    Secret.objects.create(environment=fleet.environment, name="leaked", version=1, value=CANARY, created_by="tests")
    yield fleet
    for home in ("/home/rosey", "/root"):
        fleet.machines[0].root(["rm", "-f", f"{home}/.bashrc"])


def flood(machine: Host, home: str, line: str) -> None:
    machine.root(["sh", "-c", f"cat > {home}/.bashrc"], input=f"{line}\n".encode())


def grown(since: int) -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - since


def judged(said: str, machine: Host) -> None:
    """One sentence that names the server and how it began, and no secret."""
    assert machine.address in said
    assert "It began with: " in said
    assert CANARY not in said
    assert len(said) < 1500


@pytest.mark.parametrize(("kind", "agent_there"), [*((kind, True) for kind in FLOODS), ("records", False)])
def test_a_deployment_ends_and_is_not_asked_about_for_ever(ready: Fleet, kind: str, agent_there: bool) -> None:
    machine = ready.machines[0]
    if not agent_there:
        machine.root(["sh", "-c", f"rm -rf {TREE}/.deploy/agent*"])
    flood(machine, "/home/rosey", FLOODS[kind])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    deployment = ready.deploy(ready.release("1.0.1"))
    assert deployment.status in FINAL, deployment.sentence
    judged(deployment.sentence, machine)
    assert grown(before) < MOST_MEMORY
    assert Step.objects.filter(target__deployment=deployment).count() <= 60
    lines = LogLine.objects.filter(deployment=deployment)
    assert lines.count() < 10_000
    assert not lines.filter(text__contains=CANARY).exists()
    kept = sum(len(json.dumps(facts)) for facts in Step.objects.values_list("facts", flat=True))
    assert kept < 16 << 20
    asked = Target.objects.get(deployment=deployment).finished_at
    reap()
    assert Target.objects.get(deployment=deployment).finished_at == asked, "nobody asks it again"
    flood(machine, "/home/rosey", "true")
    assert ready.deploy(ready.release("1.0.2")).status == Status.SUCCEEDED, "and afterwards everything is as before"


@pytest.mark.parametrize("kind", ["records", "an endless line"])
def test_whatever_else_asks_the_server_says_so(ready: Fleet, kind: str) -> None:
    machine, actor, home = ready.machines[0], shell_actor("carla"), ready.environment
    flood(machine, "/home/rosey", FLOODS[kind])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for look in (find_drift, verify_environment):
        (finding,) = look(actor=actor, environment=home)
        assert finding.well is not True
        judged(finding.sentence, machine)
    for attempt in (
        lambda: set_secret(actor=actor, environment=home, name="leaked", value=f"{CANARY}-new"),
        lambda: adopt_server(actor=actor, server=ready.server()),
    ):
        judged(ending(attempt), machine)
    assert grown(before) < MOST_MEMORY
    assert Deployment.objects.count() == 1


def ending(attempt: Callable[[], object]) -> str:
    """What a person is told."""
    try:
        told = attempt()
    except PortalError as error:
        return str(error)
    return " ".join(told[1]) if isinstance(told, tuple) else str(told)


@pytest.mark.parametrize("kind", ["records", "an endless line", "escape sequences"])
def test_provisioning_as_root_says_so(ready: Fleet, kind: str) -> None:
    machine = ready.machines[0]
    flood(machine, "/root", FLOODS[kind].replace(CANARY, "hello"))
    with pytest.raises(Flooded) as told:
        make_ready(ready.provisioned.hosts, machine, setup_for(ready.provisioned.hosts, ready.provisioned.public_key))
    judged(str(told.value), machine)
    flood(machine, "/root", "true")
    make_ready(ready.provisioned.hosts, machine, setup_for(ready.provisioned.hosts, ready.provisioned.public_key))

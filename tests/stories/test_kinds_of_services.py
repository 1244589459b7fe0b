"""Services as people have them, each through its life on one host: deployed, reverted, broken late, taken back.

A loop without a health URL, a web unit with a worker beside it, a job with a timer, a web service behind a socket.
Every release brings the units of its kind, and whatever is said of it names what was looked at.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from deployments.core.actors import system_actor
from deployments.execution.run import execute
from deployments.execution.watch import watch
from deployments.lifecycle import Kind, Status
from deployments.models import Deployment
from deployments.requests.rollbacks import request_rollback
from deployments.servers.inspection import find_drift, verify_environment
from tests.fixtures.fleet import TREE, UNIT, Fleet
from tests.stories.running import shell, wait_for

pytestmark = pytest.mark.hosts

WATCHED = 2
PORT = 8190
SERVICE = f"""\
[Service]
{{more}}
User=dice-bot
Environment=DICE_DATA={TREE}/shared/data
ExecStart=/usr/bin/python3 -B {TREE}/current/dicebot/work.py
"""
INSTALLED = "[Install]\nWantedBy={}\n"
AT_BOOT = INSTALLED.format("multi-user.target")
LASTS = "import time\ntime.sleep(3600)\n"
DIES = "import time\ntime.sleep(1)\nraise SystemExit(1)\n"
TOLD = f"{TREE}/shared/data/die"
DIES_WHEN_TOLD = f"""\
import os, time
while not os.path.exists("{TOLD}"):
    time.sleep(0.1)
raise SystemExit(1)
"""
FAILS_WHEN_TOLD = f"""\
import os
raise SystemExit(1 if os.path.exists("{TOLD}") else 0)
"""
ANSWERS = """\
import socket
listening = socket.socket(fileno=3)
listening.settimeout(1.0)
try:
    line, _ = listening.accept()
    line.sendall(b"HTTP/1.0 200 OK\\r\\n\\r\\nhello")
    line.close()
except OSError:
    pass
"""


@dataclass(frozen=True)
class Shape:
    """Units of one kind of service: `program` works, `dies` within its watch, and `dies_late` after it."""

    units: dict[str, str]
    program: str
    dies: str
    dies_late: str
    looked_at: str
    """What a sentence about the working one says."""
    health: bool = False
    rouse: str = f"touch {TOLD}"
    """What makes the late one die, on the host."""


SHAPES = {
    "a loop without a health URL": Shape(
        {"dice-loop.service": SERVICE.format(more="Restart=always\nRestartSec=0.2") + AT_BOOT},
        LASTS,
        DIES,
        DIES_WHEN_TOLD,
        "dice-loop.service watched for",
    ),
    "two units": Shape(
        {UNIT: "", "dice-worker.service": SERVICE.format(more="Restart=always\nRestartSec=0.2") + AT_BOOT},
        LASTS,
        "raise SystemExit(1)\n",
        DIES_WHEN_TOLD,
        "dice-worker.service",
        health=True,
    ),
    "a oneshot with a timer": Shape(
        {
            "dice-job.timer": "[Timer]\nOnActiveSec=4s\nOnUnitActiveSec=3s\nAccuracySec=100ms\n"
            + INSTALLED.format("timers.target"),
            "dice-job.service": SERVICE.format(more="Type=oneshot"),
        },
        "print('done')\n",
        "raise SystemExit(1)\n",
        FAILS_WHEN_TOLD,
        "dice-job.service",
    ),
    "a socket-activated web service": Shape(
        {
            "dice-web.service": SERVICE.format(more=""),
            "dice-web.socket": f"[Socket]\nListenStream=127.0.0.1:{PORT}\n" + INSTALLED.format("sockets.target"),
        },
        ANSWERS,
        "raise SystemExit(1)\n",
        ANSWERS.replace("line.close()", "raise SystemExit(1)"),
        "dice-web.service",
        rouse=f"curl -s -m 3 http://127.0.0.1:{PORT}/",
    ),
}


def of_shape(shape: Shape, text: str) -> Callable[[Path], None]:
    """A change of the example bot into a service of this kind, with this program."""

    def change(tree: Path) -> None:
        for unit, content in shape.units.items():
            if content:
                (tree / "systemd" / unit).write_text(content)
        (tree / "dicebot" / "work.py").write_text(text)
        described = (tree / "deploy.toml").read_text()
        units = ", ".join(f'"systemd/{unit}"' for unit in shape.units)
        described = described.replace(f'units = ["systemd/{UNIT}"]', f"units = [{units}]\nwatch = {WATCHED}")
        if not shape.health:
            start = described.index("[roles.bot.health]")
            described = described[:start] + described[described.index("[environments.test.roles.bot]") :]
            described = described.replace("[environments.test.roles.bot]\nport = 8101\n", "")
            described = described.replace("[environments.production.roles.bot]\nport = 8100\n", "")
            (tree / "systemd" / UNIT).unlink()
        (tree / "deploy.toml").write_text(described)

    return change


@pytest.mark.parametrize("kind", SHAPES)
def test_it_is_deployed_reverted_broken_late_and_taken_back_and_each_time_the_truth_is_said(
    fleet: Fleet, kind: str
) -> None:
    shape, actor = SHAPES[kind], system_actor("tests")
    fleet.enrol()
    plain = fleet.release("0.9.0")
    assert fleet.deploy(plain).status == Status.SUCCEEDED
    good = fleet.release("1.0.0", of_shape(shape, shape.program))

    first = fleet.deploy(good)
    assert first.status == Status.SUCCEEDED, first.sentence
    assert shape.looked_at in first.targets.get().looked_at
    assert_has_units(fleet, shape)

    bad = fleet.deploy(fleet.release("1.0.1", of_shape(shape, shape.dies)))
    assert bad.status == Status.ROLLED_BACK, bad.sentence
    assert any(unit in bad.sentence for unit in shape.units), bad.sentence
    assert good.identifier in bad.sentence
    assert_as_recorded(fleet, good)

    taken_back = broken_late(fleet, shape, good)
    assert taken_back.status == Status.SUCCEEDED, taken_back.sentence
    assert_as_recorded(fleet, good)
    [finding] = verify_environment(actor=actor, environment=fleet.environment)
    assert finding.well, finding.sentence
    assert all(unit in finding.sentence for unit in shape.units), finding.sentence

    back = carried_out(request_rollback(actor=actor, environment=fleet.environment, reason="x", to=plain))
    assert back.status == Status.SUCCEEDED, back.sentence
    assert_as_recorded(fleet, plain)
    left = shell(fleet.machines[0], f"cd /etc/systemd/system; ls -d {' '.join(set(shape.units) - {UNIT})} 2>/dev/null")
    assert left == "", "the units of what ran before are gone with it"


def broken_late(fleet: Fleet, shape: Shape, good: object) -> Deployment:
    """A release that dies once it has been verified: said to have crashed, and taken back; the rollback."""
    environment = fleet.environment
    environment.bake_seconds = 300
    environment.save()
    late = fleet.deploy(fleet.release("1.0.2", of_shape(shape, shape.dies_late)))
    assert late.status == Status.SUCCEEDED, late.sentence
    units = " ".join(shape.units)

    def died() -> bool:
        shell(fleet.machines[0], shape.rouse)
        shown = shell(fleet.machines[0], f"systemctl show -P NRestarts -P Result {units}").split()
        return any(word not in ("0", "success") for word in shown)

    wait_for(died, "it to die", deadline=30)
    assert watch(actor=system_actor("watch"), number=late.pk) == "crashed"
    rollback = carried_out(Deployment.objects.get(kind=Kind.ROLLBACK, rollback_of=late))
    late.refresh_from_db()
    assert rollback.status == Status.SUCCEEDED, rollback.sentence
    assert f"rollback {rollback.pk} has taken it back" in late.sentence
    assert rollback.release == good
    return rollback


def carried_out(deployment: Deployment) -> Deployment:
    execute(deployment.pk)
    deployment.refresh_from_db()
    return deployment


def assert_has_units(fleet: Fleet, shape: Shape) -> None:
    """systemd has the units of its release and no others of ours."""
    listed = shell(fleet.machines[0], "cd /etc/systemd/system; ls | grep '^dice-' | grep -v '^dice-bot-.*service$'")
    found = {name for name in listed.split() if not name.endswith(".d")}
    assert found == set(shape.units)


def assert_as_recorded(fleet: Fleet, release: object) -> None:
    """The server runs this release under its own units, and nothing differs from the record."""
    assert fleet.server().current_release == release
    [finding] = find_drift(actor=system_actor("tests"), environment=fleet.environment)
    assert finding.well, finding.sentence

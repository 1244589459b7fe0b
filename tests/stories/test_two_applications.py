"""Two applications on one real server: each is deployed, rolled back and removed without a trace on the other."""

import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments.core.actors import shell_actor
from deployments.environments.registry import add_environment
from deployments.execution.run import execute
from deployments.lifecycle import Status
from deployments.models import Deployment, Environment, Release, Server
from deployments.requests.requests import request_deployment
from deployments.requests.rollbacks import request_rollback
from engine.ssh.address import Address
from engine.ssh.errors import AuthenticationRefused
from engine.ssh.keys import HostKey, PrivateKey
from engine.ssh.session import Session
from tests.fixtures.fleet import TREE, Fleet
from tests.stories.saying import said

pytestmark = pytest.mark.hosts
DICE = (
    f"find {TREE} /etc/systemd/system -path '*data*' -prune -o -path '*tea-bot*' -prune -o -name '*.pyc' -prune "
    "-o -type f -print0 |"
    " sort -z | xargs -0 sha256sum | grep -v journal; "
    "cat /etc/sudoers.d/dice-bot*; sudo -n -l -U rosey; cat /home/rosey/.ssh/authorized_keys; "
    "nft list table inet dice_bot; systemctl is-active dice-bot.service; systemctl is-enabled dice-bot.service; "
    "systemctl show -p MainPID,NRestarts dice-bot.service; id rosey; "
    f"readlink {TREE}/current"
)
TEA = "tea-bot"
DOOR = {
    "tea-bot-door.service": """\
[Unit]
Requires=tea-bot-door.socket
After=tea-bot-door.socket

[Service]
User=tea-bot
ExecStart=/usr/bin/python3 -B /opt/tea-bot/current/dicebot/door.py
""",
    "tea-bot-door.socket": "[Socket]\nListenStream=127.0.0.1:8202\n\n[Install]\nWantedBy=sockets.target\n",
}
"""A service that a visitor starts: on a fresh server neither of its units is known yet."""


def of_tea(tree: Path) -> None:
    """The example bot under another name, on other ports, with a door of its own beside it."""
    for path in [tree / "deploy.toml", tree / "systemd" / "dice-bot.service", *(tree / "config").glob("*.json")]:
        path.write_text(path.read_text().replace("dice-bot", TEA).replace("810", "820"))
    (tree / "systemd" / "dice-bot.service").rename(tree / "systemd" / f"{TEA}.service")
    for name, content in DOOR.items():
        (tree / "systemd" / name).write_text(content)
    (tree / "dicebot" / "door.py").write_text("import time\ntime.sleep(3600)\n")
    doors = ", ".join(f'"systemd/{name}"' for name in (f"{TEA}.service", *DOOR))
    described = (tree / "deploy.toml").read_text()
    (tree / "deploy.toml").write_text(described.replace(f'units = ["systemd/{TEA}.service"]', f"units = [{doors}]"))


@pytest.fixture
def both(fleet: Fleet) -> Iterator[Fleet]:
    """The dice bot in service, and the other one enrolled and provisioned beside it."""
    fleet.enrol()
    assert fleet.deploy(fleet.release("1.0.0")).status == Status.SUCCEEDED
    add_environment(actor=shell_actor("tester"), application=TEA, name="test", approvals=0)
    yield fleet
    shell(fleet, f"loginctl terminate-user {TEA}-deploy; userdel -r {TEA}-deploy; userdel {TEA}; rm -rf /opt/{TEA}")


def shell(fleet: Fleet, script: str) -> str:
    return fleet.machines[0].root(["sh", "-c", script], check=False).stdout.decode().strip()


def changed(fleet: Fleet, before: str) -> list[str]:
    """Lines of what is the first application's that are there now and were not, or no longer are."""
    return sorted(set(before.splitlines()) ^ set(shell(fleet, DICE).splitlines()))


def answers(fleet: Fleet, port: int) -> int:
    with urllib.request.urlopen(f"http://{fleet.machines[0].address}:{port}/status", timeout=60) as answer:
        return int(answer.status)


def deployed(release: Release) -> Deployment:
    environment = Environment.objects.get(application=release.name)
    row = request_deployment(actor=shell_actor("tester"), release=release, environment=environment)
    execute(row.pk)
    row.refresh_from_db()
    return row


def test_one_is_deployed_rolled_back_and_removed_and_the_other_never_notices(both: Fleet) -> None:
    machine, key = both.machines[0], ("--bootstrap-key", str(both.provisioned.hosts.bootstrap_key))
    before = shell(both, DICE)
    assert answers(both, 8101) == 200
    first, second = both.release("2.0.0", of_tea), both.release("2.0.1", of_tea)
    where = ("--host", machine.address, "--port", str(machine.port), "--fingerprint", machine.fingerprint)

    code, words = said("enroll", "tea-1", "--environment", f"{TEA}/test", *where, "--user", "rosey")
    assert (code, "would open both" in words) == (1, True), words
    code, words = said("enroll", "tea-1", "--environment", f"{TEA}/test", *where[:4])  # its key is confirmed already
    assert code == 0, words
    assert Server.objects.get(name="tea-1").user == f"{TEA}-deploy"
    code, words = said("provision", "tea-1", "--release", first.identifier, *key)
    assert code == 0, words
    assert changed(both, before) == []

    one, two = deployed(first), deployed(second)
    assert (one.status, two.status) == (Status.SUCCEEDED, Status.SUCCEEDED), (one.sentence, two.sentence)
    assert (answers(both, 8101), answers(both, 8201)) == (200, 200)
    back = request_rollback(
        actor=shell_actor("tester"), environment=Environment.objects.get(application=TEA), reason="to see"
    )
    execute(back.pk)
    back.refresh_from_db()
    assert (back.status, back.release) == (Status.SUCCEEDED, first), back.sentence
    assert changed(both, before) == []

    tea = Environment.objects.get(application=TEA)
    with (
        pytest.raises(AuthenticationRefused),
        Session(
            Address(machine.address, machine.port, "rosey", HostKey.parse(machine.host_key)),
            PrivateKey(tea.private_key),
        ),
    ):
        pytest.fail("the first application's account let the second's key in")
    tried = f"touch {TREE}/x {TREE}/shared/config/x; ls {TREE}/shared/secrets; sudo -n systemctl stop dice-bot.service"
    refused = shell(both, f"su -s /bin/sh {TEA}-deploy -c '{tried}' 2>&1; echo $?")
    assert refused.splitlines()[-1] != "0"
    assert changed(both, before) == []

    code, words = said("decommission", "tea-1", "--delete-data", *key)
    assert code == 0, words
    assert changed(both, before) == []
    assert answers(both, 8101) == 200
    left = f"ls -d /opt/{TEA}/releases /etc/sudoers.d/{TEA}* /etc/systemd/system/{TEA}*; nft list tables | grep tea"
    assert shell(both, f"{left} 2>/dev/null") == ""
    assert deployed(both.release("1.0.1")).status == Status.SUCCEEDED

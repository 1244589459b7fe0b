"""Taking a real server out of service: everything of ours goes, what the bot wrote stays, and so does the history."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.utils import timezone

from dashboard.selectors.bots import all_bots
from dashboard.selectors.targets import targets
from deployments.access.tokens import authenticate, issue_token
from deployments.audit import trail
from deployments.core.actors import system_actor
from deployments.core.sessions import address_of
from deployments.lifecycle import Status
from deployments.models import ApiToken, AuditEvent, Deployment, Scope, Server
from deployments.servers import decommissioning
from engine.remote.provisioning import provision
from engine.ssh.errors import AuthenticationRefused
from engine.ssh.keys import PrivateKey
from engine.ssh.session import Session
from tests.fixtures.fleet import TREE, UNIT, Fleet, make_ready, setup_for
from tests.stories.saying import said

pytestmark = pytest.mark.hosts
OURS = (
    f"cat /home/rosey/.ssh/authorized_keys; ls -R /etc/systemd /etc/sudoers.d /etc/nftables.d {TREE} 2>&1;"
    f" nft list tables; systemctl is-enabled {UNIT}; systemctl show -p MainPID {UNIT}"
)


@pytest.fixture
def serving(fleet: Fleet) -> Iterator[Fleet]:
    """A server that runs 1.0.0 and reports with a token; provisioned again afterwards."""
    fleet.enrol()
    assert fleet.deploy(fleet.release("1.0.0")).status == Status.SUCCEEDED
    yield fleet
    hosts, machine = fleet.provisioned.hosts, fleet.machines[0]
    machine.root(["systemctl", "start", "ssh"])
    make_ready(hosts, machine, setup_for(hosts, fleet.provisioned.public_key))


def shell(fleet: Fleet, script: str) -> str:
    return fleet.machines[0].root(["sh", "-c", script], check=False).stdout.decode().strip()


def decommission(fleet: Fleet, *options: str) -> tuple[int, str]:
    return said("decommission", "dice-1", "--bootstrap-key", str(fleet.provisioned.hosts.bootstrap_key), *options)


def test_everything_of_ours_goes_and_the_data_and_the_history_stay(serving: Fleet) -> None:
    token, text = issue_token(
        actor=system_actor("tests"), name="beats", scopes=[Scope.HEARTBEAT], server=serving.server(), days=None
    )
    shell(serving, f"echo precious > {TREE}/shared/data/written; echo older > {TREE}/backups/older")
    before = shell(serving, OURS)
    code, planned = decommission(serving, "--plan")
    assert code == 0, planned
    assert f"unit {UNIT}: would be changed" in planned
    assert "would be decommissioned" in planned
    assert shell(serving, OURS) == before, "a plan changes nothing"
    assert serving.server().state == Server.State.PROVISIONED

    waiting = serving.request(serving.release("1.0.1"))
    code, words = decommission(serving)
    assert (code, "is busy" in words) == (8, True)
    Deployment.objects.filter(pk=waiting.pk).delete()

    code, words = decommission(serving)
    assert code == 0, words
    assert f"{TREE}/shared/data, {TREE}/backups" in words, "it says where"
    kept = ["backups/older", "shared/data/rolls.db", "shared/data/written"]
    assert shell(serving, f"cd {TREE}; find * -type f | sort").split() == kept
    assert shell(serving, f"systemctl is-active {UNIT} dice-bot-firewall.service").split() == ["inactive"] * 2
    assert shell(serving, "ls /etc/systemd/system/dice-bot* /etc/sudoers.d/dice-bot /etc/nftables.d/dice-bot.nft") == ""
    assert "dice_bot" not in shell(serving, "nft list tables")
    assert shell(serving, "sudo -n -l -U rosey | grep -c systemctl") == "0"
    key = PrivateKey(serving.provisioned.private_key)
    with pytest.raises(AuthenticationRefused), Session(address_of(serving.server()), key):
        pass

    server = serving.server()
    assert (server.state, server.current_release) == (Server.State.RETIRED, None)
    assert Deployment.objects.filter(targets__server=server, status=Status.SUCCEEDED).exists()
    events = AuditEvent.objects.filter(subject="server:dice-1").order_by("sequence").values_list("name", flat=True)
    assert list(events) == ["server.retired", "server.decommissioned"]
    assert trail.verify() == []
    assert authenticate(str(text)) is None
    assert ApiToken.objects.get(pk=token.pk).revoked_at
    assert (targets(), all_bots(timezone.now())) == ([], [])
    for command in (("deploy", "test"), ("provision", "dice-1")):
        code, words = said(*command)
        assert code == 2, words
        assert "Traceback" not in words

    code, words = decommission(serving, "--json", "--delete-data")
    assert code == 0, words
    assert [item["what"] for item in json.loads(words)["removed"]] == [f"directory {TREE}"]
    assert shell(serving, f"ls {TREE}") == ""


def test_a_tree_on_a_disk_of_its_own_is_emptied_and_the_disk_stays(serving: Fleet) -> None:
    serving.machines[0].disk("200M", TREE)
    try:
        code, words = decommission(serving, "--delete-data")
        assert code == 0, words
        assert shell(serving, f"ls -A {TREE}; mountpoint {TREE}") == f"{TREE} is a mountpoint"
        code, words = decommission(serving, "--json", "--delete-data")
        assert [item["what"] for item in json.loads(words)["removed"]] == [], "nothing is left to remove"
    finally:
        serving.machines[0].disk_off()


def test_ended_half_way_the_server_is_no_target_and_the_next_run_finishes(
    serving: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(session: Any, wanted: list[Any], **more: Any) -> Any:
        return provision(session, wanted if more.get("plan") else wanted[:2], **more)

    with monkeypatch.context() as patched:
        patched.setattr(decommissioning, "provision", cut)
        patched.setattr(decommissioning, "_record", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            decommission(serving)
    assert serving.server().state == Server.State.RETIRED
    assert shell(serving, f"ls -d {TREE}/current") != ""
    code, words = decommission(serving)
    assert code == 0, words
    assert shell(serving, f"ls -d {TREE}/current {TREE}/releases") == ""


def test_what_cannot_be_removed_is_said_before_anything_is(serving: Fleet) -> None:
    rules = "/etc/nftables.d/dice-bot.nft"
    shell(serving, f"mv {rules} /root/kept; mkdir {rules}")
    try:
        code, words = decommission(serving)
        assert code == 1
        assert "is a directory and is not deleted here" in words
        assert serving.server().state == Server.State.PROVISIONED
        assert shell(serving, f"systemctl is-active {UNIT}") == "active"
    finally:
        shell(serving, f"rmdir {rules}; mv /root/kept {rules}")


def test_a_machine_that_does_not_answer_goes_on_record_only_and_it_is_said_what_stays(serving: Fleet) -> None:
    shell(serving, "systemctl stop ssh")
    code, words = decommission(serving)
    assert code == 1
    assert "does not answer" in words
    assert serving.server().state == Server.State.PROVISIONED
    code, words = said("decommission", "dice-1", "--record-only")
    assert code == 0, words
    assert f"{UNIT}, " in words
    assert "go on running there" in words
    server = serving.server()
    assert server.state == Server.State.RETIRED
    assert server.facts["left there"]
    shell(serving, "systemctl start ssh")
    code, words = decommission(serving)
    assert code == 0, words
    assert shell(serving, f"systemctl is-active {UNIT}") == "inactive"
    assert "left there" not in serving.server().facts


@pytest.mark.full
def test_a_decommissioned_server_is_enrolled_and_provisioned_as_a_new_one(serving: Fleet) -> None:
    assert decommission(serving)[0] == 0
    server, hosts = serving.server(), serving.provisioned.hosts
    where = ("--host", server.host, "--port", str(server.port), "--fingerprint", server.fingerprint)
    code, words = said("enroll", "dice-9", "--environment", "test", *where)
    assert code == 0, words
    code, words = decommission(serving)
    assert (code, "its machine is dice-9 now" in words) == (2, True)
    code, words = said("provision", "dice-9", "--bootstrap-key", str(hosts.bootstrap_key))
    assert code == 0, words
    assert serving.deploy(serving.release("1.0.1")).status == Status.SUCCEEDED

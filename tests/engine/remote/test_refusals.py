"""What the agent refuses beforehand: one clear sentence each, and nothing on the server is touched."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from engine.remote import RunPlan
from engine.remote.client import AgentClient
from tests.engine.remote.releases import NAME, UNIT, UNIT_FILE, Release, plan, release, role
from tests.engine.remote.servers import ROOT, Background, Server

pytestmark = pytest.mark.hosts

FINGERPRINT = (
    f"cd {ROOT}; find . -path ./.deploy -prune -o -path ./shared/data -prune -o -printf '%p %m %u %l %i %C@\\n' | sort;"
    f" systemctl show -p MainPID,NRestarts,ActiveState {UNIT}"
)
"""Everything of the tree but the agent's own records and the data, and the process."""


@pytest.fixture
def earlier(running: Server) -> Iterator[Server]:
    """As it was left by a provisioning of before units travelled with releases."""
    running.shell(
        f"cd /var/lib/cytube-ops; rm -r {NAME}.units {NAME}.roles {NAME}/ /usr/local/lib/cytube-ops;"
        f"rm -r /etc/systemd/system/{UNIT}.d; systemctl daemon-reload; cd /etc/sudoers.d; cat {NAME}_units >> {NAME};"
        f"rm {NAME}_units; systemctl restart {UNIT}"
    )
    yield running
    running.provision()


def test_units_that_differ_from_the_installed_ones(earlier: Server, old: Release, new: Release) -> None:
    changed = [role(unit_files={UNIT: "0" * 64})]
    refused(earlier, plan(new, 2, base=old, roles=changed), new, "units_differ", "run provision once")


def test_a_server_of_before_deploys_equal_units_and_provisioning_takes_it_over(
    earlier: Server, old: Release, new: Release
) -> None:
    """Nothing it runs changes by that, and from then on units travel."""
    assert earlier.run(new, 2, base=old).status == "succeeded"
    pid = earlier.shell(f"systemctl show -p MainPID --value {UNIT}")
    earlier.provision()
    assert earlier.shell(f"systemctl show -p MainPID --value {UNIT}") == pid
    other = release("3.0", {f"systemd/{UNIT}": UNIT_FILE + b"# changed\n"})
    digest = hashlib.sha256(UNIT_FILE + b"# changed\n").hexdigest()
    assert earlier.run(other, 3, base=new, roles=[role(unit_files={UNIT: digest})]).status == "succeeded"
    assert earlier.run(new, 4, base=other).status == "succeeded"


def test_a_unit_that_is_not_the_plans_is_not_run(running: Server, old: Release, new: Release) -> None:
    result = running.run(new, 2, base=old, roles=[role(unit_files={UNIT: "0" * 64})])
    assert (result.status, result.reason) == ("reverted", "units_differ"), result
    running.assert_runs(old)


def test_a_unit_file_that_systemd_has_not_read_again(running: Server, old: Release, new: Release) -> None:
    """Where root takes units over it has systemd read them, and so does provisioning; elsewhere it is refused."""
    unread = f"touch -d '+1 minute' /etc/systemd/system/{UNIT}"
    read = f"systemctl show -p NeedDaemonReload --value {UNIT}"
    running.shell(unread)
    assert running.run(new, 2, base=old).status == "succeeded"
    assert running.shell(read) == "no"
    assert running.run(old, 3, base=new).status == "succeeded"
    running.shell(unread)
    running.provision()
    assert running.shell(read) == "no"


def test_a_unit_file_that_systemd_has_not_read_again_where_units_do_not_travel(
    earlier: Server, old: Release, new: Release
) -> None:
    earlier.shell(f"touch -d '+1 minute' /etc/systemd/system/{UNIT}")
    refused(earlier, plan(new, 2, base=old), new, "units_differ", "systemd has not read")


def test_a_newer_python_is_needed(running: Server, old: Release, new: Release) -> None:
    refused(
        running, plan(new, 2, base=old, python="3.99"), new, "python_too_old", "Python 3.11, and the release needs 3.99"
    )


def test_a_secret_that_was_not_delivered(running: Server, old: Release, new: Release) -> None:
    wanted = plan(new, 2, base=old, roles=[role(secrets={"password": 1})])
    refused(running, wanted, new, "secret_missing", "deliver it with set_secret")


def test_another_release_than_the_plan_was_made_for(running: Server, old: Release, new: Release) -> None:
    refused(running, plan(new, 2, base=old, expects="0.9-x"), new, "base_changed", "Request the deployment again")


def test_a_disk_that_is_too_small(running: Server, old: Release, new: Release) -> None:
    wanted = altered(plan(new, 2, base=old), lambda wire: wire.update(need_bytes=1 << 50))
    refused(running, wanted, new, "disk_full", "MB are needed")


def altered(wanted: RunPlan, alter: Callable[[dict[str, Any]], object]) -> RunPlan:
    """A plan that travels with something changed."""

    class Altered(RunPlan):
        def to_wire(self) -> dict[str, Any]:
            wire = super().to_wire()
            alter(wire)
            return wire

    return Altered(**{name: getattr(wanted, name) for name in RunPlan.__slots__})


def test_no_right_to_restart_the_units(running: Server, old: Release, new: Release) -> None:
    running.shell("mv /etc/sudoers.d/rosey-bot /root/sudoers")
    try:
        refused(running, plan(new, 2, base=old), new, "no_sudo", "run provision")
    finally:
        running.shell("mv /root/sudoers /etc/sudoers.d/rosey-bot")


def test_a_port_that_somebody_else_uses(running: Server, old: Release, new: Release) -> None:
    running.shell(f"systemctl stop {UNIT}")
    running.shell("systemd-run -q --unit=squatter python3 -m http.server 8001 --bind 127.0.0.1")
    running.wait("curl -s 127.0.0.1:8001 > /dev/null")
    try:
        refused(running, plan(new, 2, base=old), new, "port_taken", "none of its units")
    finally:
        running.shell("systemctl stop squatter")


def test_a_tree_that_belongs_to_somebody_else(running: Server, old: Release, new: Release) -> None:
    running.shell(f"chown root {ROOT}/releases")
    try:
        refused(running, plan(new, 2, base=old), new, "not_provisioned", "run provision")
    finally:
        running.shell(f"chown rosey {ROOT}/releases")


def test_a_clock_that_is_wrong(running: Server, old: Release, new: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    monkeypatch.setattr("engine.remote.client.time.time", lambda: now - 3600)
    refused(running, plan(new, 2, base=old), new, "clock_wrong", "ahead of the portal's")


def test_a_fence_that_is_outdated(running: Server, old: Release, new: Release) -> None:
    assert running.run(new, 7, base=old).status == "succeeded"
    refused(running, plan(old, 6, base=new), old, "fence_outdated", "newer attempt")
    refused(running, plan(old, 7, base=new, deployment="rival"), old, "fence_outdated", "newer attempt")
    with running.client() as client:
        assert client.cancel("7", 6).reason == "fence_outdated"
        assert client.revert("7", 6).reason == "fence_outdated"


def test_a_run_that_was_carried_out_is_not_carried_out_again(running: Server, old: Release) -> None:
    refused(running, plan(old, 1), old, "already_ran", "already")


def test_a_configuration_that_was_changed_on_its_way(running: Server, old: Release, new: Release) -> None:
    tampered = {"bot.json": "eyJjcmFzaCI6IHRydWV9"}
    wanted = altered(plan(new, 2, base=old), lambda wire: wire["config"].update(files=tampered))
    refused(running, wanted, new, "bad_request", "digest")


def refused(server: Server, wanted: RunPlan, artifact: Release, reason: str, words: str) -> None:
    before = server.shell(FINGERPRINT)
    result = server.carry_out(wanted, artifact)
    assert (result.status, result.reason) == ("failed", reason), result
    assert words in result.sentence
    assert server.shell(FINGERPRINT) == before
    server.assert_tidy()


def test_a_second_run_while_one_is_under_way(running: Server, old: Release, new: Release) -> None:
    running.shell("rm -f /tmp/go")
    running.rehearse("stage", "echo held; until test -e /tmp/go; do sleep 0.05; done")
    first = Background(running, plan(new, 2, base=old), new)
    first.wait_for(text="held")
    for ask in rivals(new, old):
        result = running_client(running, ask)
        assert result.reason == "host_locked", result
        assert "Deployment 2 has been running on this server since" in result.sentence
    with running.client() as client:
        assert client.recover().status == "running"
        seen = client.inspect()
    assert seen["lock"]["held"] is True
    assert seen["lock"]["deployment"] == "2"
    assert seen["run"]["status"] == "running"
    running.shell("touch /tmp/go")
    assert first.result().status == "succeeded"


def rivals(new: Release, old: Release) -> list[Callable[[AgentClient], Any]]:
    return [
        lambda client: client.run(plan(new, 3, base=old), new, lambda record: None),
        lambda client: client.secret("password", 1, b"value"),
        lambda client: client.cancel("99", 99),
        lambda client: client.revert("99", 99),
    ]


def running_client(server: Server, ask: Callable[[AgentClient], Any]) -> Any:
    with server.client() as client:
        return ask(client)


def test_a_higher_fence_takes_over_and_says_so(running: Server, old: Release, new: Release) -> None:
    running.rehearse("verify", "echo held; exec sleep 600")
    first = Background(running, plan(new, 2, base=old), new)
    first.wait_for(text="held")
    running.end_rehearsals()
    third = release("3.0")
    records: list[dict[str, Any]] = []
    result = running.carry_out(plan(third, 3, base=old, takeover=True), third, records.append)
    assert result.status == "succeeded", result
    ended = first.result()
    assert (ended.status, ended.reason) == ("cancelled", "taken_over"), ended
    assert "Deployment 3 took over" in ended.sentence
    begun = next(record for record in records if record["kind"] == "run")
    assert begun["recovered"]["ended"]["deployment"] == "2"
    assert begun["recovered"]["ended"]["left"] == 0
    running.assert_runs(third)
    running.assert_tidy()


def test_a_takeover_with_a_lower_fence_is_refused(running: Server, old: Release, new: Release) -> None:
    running.rehearse("stage", "echo held; exec sleep 600")
    first = Background(running, plan(new, 5, base=old), new)
    first.wait_for(text="held")
    result = running.run(release("3.0"), 4, base=old, takeover=True)
    assert result.reason == "fence_outdated", result
    with running.client() as client:
        assert client.cancel("5", 5).status == "cancelled"
    assert first.result().status == "cancelled"
    running.assert_runs(old)


def test_a_supervisor_that_does_not_react_is_killed_and_settled_for(
    running: Server, old: Release, new: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    running.rehearse("verify", "echo held; exec sleep 600")
    first = Background(running, plan(new, 2, base=old, deadlines={"revert": 3.0, "verify": 600.0}), new)
    first.wait_for(text="held")
    owner = running.lock_owner()
    running.host.root(["kill", "-STOP", str(owner["pid"])])
    # somebody with a shell ends it: the next question to the agent finds the truth and puts it right
    running.host.root(["kill", "-KILL", str(owner["pid"]), str(owner["worker"])])
    with running.client() as client:
        result = client.cancel("2", 2)
    assert (result.status, result.reason) == ("cancelled", "cancelled"), result
    running.end_rehearsals()
    running.assert_runs(old)
    running.assert_tidy()


def test_a_cancel_that_comes_too_late_tells_how_it_ended(running: Server, old: Release, new: Release) -> None:
    assert running.run(new, 2, base=old).status == "succeeded"
    with running.client() as client:
        assert client.cancel("2", 2).status == "succeeded"
        assert client.cancel("3", 3).status == "none"
    running.assert_runs(new)


def test_the_records_name_who_wanted_it_and_why(running: Server) -> None:
    with running.client() as client:
        run = client.journal("1")[0]
    assert run["kind"] == "run"
    assert (run["plan"]["actor"], run["plan"]["reason"]) == ("operator", "a test")
    assert json.loads(running.shell(f"head -1 {ROOT}/.deploy/journal.jsonl")) == run

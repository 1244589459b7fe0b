"""A run of a good release on a real host."""

import json

import pytest

from engine.remote import AgentClient
from engine.remote.result import Record
from engine.ssh.session import Session
from tests.engine.remote.releases import DEADLINES, NAME, UNIT, UNIT_FILE, Release, plan, release, role
from tests.engine.remote.servers import ROOT, Server
from tests.engine.remote.unit_releases import role_of, with_units

pytestmark = pytest.mark.hosts


def test_a_first_deployment_ends_with_the_service_running(server: Server, old: Release) -> None:
    records: list[Record] = []
    result = server.run(old, 1, records.append)
    assert (result.status, result.reason) == ("succeeded", "verified"), result
    server.assert_runs(old)
    server.assert_tidy()
    steps = [r["step"] for r in records if r["kind"] == "step" and r["state"] == "ok"]
    assert steps == ["preflight", "stage", "dependencies", "backup", "activate", "restart", "verify", "prune"]
    assert [r["seq"] for r in records] == sorted({r["seq"] for r in records})


def test_a_second_release_sends_only_what_changed(running: Server, old: Release, new: Release) -> None:
    result = running.run(new, 2, base=old)
    assert result.status == "succeeded", result
    running.assert_runs(new)
    assert result.facts["stage"]["received"] == 4  # VERSION and three modules
    assert result.facts["stage"]["linked"] == len(old.contents) - 4
    # and what was shared with the release before is as it was
    with running.client() as client:
        assert client.matches(old.manifest.files, old.identifier).reason == "whole"


def test_a_portal_that_errs_about_the_base_is_asked_for_the_rest(running: Server, new: Release) -> None:
    assumed = release("0.9", {"extra.py": new.contents["VERSION"]})  # it does not run there, and never did
    result = running.run(new, 2, base=assumed)
    assert result.status == "succeeded", result
    running.assert_runs(new)
    assert result.facts["stage"]["received"] == 4


def test_a_damaged_file_of_the_running_release_is_not_carried_over(running: Server, old: Release, new: Release) -> None:
    running.shell(f"chmod u+w {ROOT}/current/package3/module7.py; echo tampered >> {ROOT}/current/package3/module7.py")
    running.shell(f"chmod u-w {ROOT}/current/package3/module7.py")
    result = running.run(new, 2, base=old)
    assert result.status == "succeeded", result
    running.assert_runs(new)
    assert running.shell(f"tail -1 {ROOT}/releases/{old.identifier}/package3/module7.py") == "tampered"


def test_a_damaged_release_is_repaired_by_deploying_it_again(running: Server, old: Release) -> None:
    path = f"{ROOT}/current/package3/module7.py"
    running.shell(
        f"chmod u+w {path}; echo tampered >> {path}; touch {ROOT}/current/extra.py; rm {ROOT}/current/bin/tool"
    )
    result = running.run(old, 2, base=old)
    assert result.status == "succeeded", result
    running.assert_runs(old)
    running.assert_tidy()


def test_a_rollback_to_a_release_that_is_still_there_sends_nothing(running: Server, old: Release, new: Release) -> None:
    assert running.run(new, 2, base=old).status == "succeeded"
    result = running.run(old, 3, base=old)
    assert result.status == "succeeded", result
    assert result.facts["stage"]["reused"] is True
    running.assert_runs(old)


def test_only_the_configuration_changes_by_one_swap(running: Server, old: Release) -> None:
    result = running.run(old, 2, base=old, config={"greeting": "hello"})
    assert result.status == "succeeded", result
    assert running.answer()["greeting"] == "hello"
    running.assert_runs(old)


def test_a_run_that_succeeded_can_be_taken_back_for_another_servers_sake(
    running: Server, old: Release, new: Release
) -> None:
    assert running.run(new, 2, base=old).status == "succeeded"
    with running.client() as client:
        result = client.revert("2", 2)
        again = client.revert("2", 2)
    assert result.status == again.status == "reverted", (result, again)
    running.assert_runs(old)
    running.assert_tidy()


def test_the_journal_has_every_record_that_was_streamed(running: Server, old: Release, new: Release) -> None:
    records: list[Record] = []
    result = running.run(new, 2, records.append, base=old)
    with running.client() as client:
        journal = client.journal("2")
        rest = client.journal("2", after=3)
    assert [r["seq"] for r in journal] == [r["seq"] for r in records] + [result.seq]
    assert [r["seq"] for r in rest] == [r["seq"] for r in journal if r["seq"] > 3]


def test_the_database_is_copied_before_and_counted_after(running: Server, old: Release, new: Release) -> None:
    result = running.run(new, 2, base=old)
    copy = result.facts["backup"]["databases"]["bot.db"]
    assert copy["rows"] == {"starts": 1}
    assert running.shell(f"sha256sum < {copy['copy']}").split()[0] == copy["sha256"]
    assert result.facts["proof"]["databases"] == {"bot.db": {"starts": [1, 2]}}
    assert result.facts["proof"]["rows_lost"] == []


def test_old_releases_are_pruned_but_never_what_a_rollback_needs(running: Server, old: Release) -> None:
    made = [release(f"2.{number}") for number in range(4)]
    before = old
    for fence, wanted in enumerate(made, start=2):
        assert running.run(wanted, fence, base=before, keep=1, pins=[old.identifier]).status == "succeeded"
        before = wanted
    assert set(running.releases) == {old.identifier, made[1].identifier, made[2].identifier, made[3].identifier}
    assert running.shell(f"ls {ROOT}/shared/config | wc -l") == "1"


def test_a_slow_start_is_waited_for_and_the_old_process_does_not_count(running: Server, old: Release) -> None:
    """The same release with the same configuration: only the new process proves anything."""
    before = running.shell("systemctl show -p MainPID --value probe.service")
    result = running.run(old, 2, base=old)
    assert result.status == "succeeded", result
    assert running.shell("systemctl show -p MainPID --value probe.service") != before


def test_an_agent_that_is_missing_is_brought_along(server: Server, old: Release) -> None:
    server.shell(f"rm -rf {ROOT}/.deploy/agent-* {ROOT}/.deploy/__pycache__")
    assert server.run(old, 1).status == "succeeded"
    assert server.shell(f"ls {ROOT}/.deploy | grep -c '^agent-'") == "1"


def test_the_environment_is_built_from_the_release_and_kept(server: Server) -> None:
    # an empty lock needs no wheel: what is proven is the environment itself and the check that runs in it
    check = (
        "python",
        "-c",
        "import sys; print('checked in', sys.prefix); sys.exit(0 if '/envs/' in sys.prefix else 1)",
    )
    with_lock = role(lock="requirements.txt", env_digest="e" * 64, check=check)
    first = release("1.0", {"requirements.txt": b"# nothing\n"})
    records: list[Record] = []
    result = server.carry_out(plan(first, 1, roles=[with_lock]), first, records.append)
    assert result.status == "succeeded", (result, records)
    assert any("checked in" in r.get("text", "") for r in records)
    assert server.shell(f"readlink -f {ROOT}/current/.envs/bot") == f"{ROOT}/envs/{'e' * 64}"
    second = release("2.0", {"requirements.txt": b"# nothing\n"})
    records.clear()
    assert server.run(second, 2, records.append, base=first, roles=[with_lock]).status == "succeeded"
    built = next(r for r in records if r["kind"] == "step" and r["step"] == "dependencies" and r["state"] == "ok")
    assert built["facts"] == {"built": []}


def test_a_secret_is_delivered_masked_and_required(running: Server, old: Release, new: Release) -> None:
    with running.client() as client:
        delivered = client.secret("password", 1, b"correct horse battery")
    assert delivered.status == "succeeded"
    assert running.shell(f"stat -c '%U %a' {ROOT}/shared/secrets/password") == "rosey 400"
    chatty = role(secrets={"password": 1}, check=("cat", f"{ROOT}/shared/secrets/password"))
    records: list[Record] = []
    result = running.run(new, 2, records.append, base=old, roles=[chatty])
    assert result.status == "succeeded", result
    assert "[secret password]" in json.dumps(records)
    assert "correct horse" not in json.dumps(records)
    assert "correct horse" not in running.shell(f"cat {ROOT}/.deploy/journal.jsonl")
    with running.client() as client:
        changed = client.run(plan(new, 3, base=new, roles=[role(secrets={"password": 2})]), new, lambda record: None)
    assert (changed.status, changed.reason) == ("failed", "secret_missing")


def test_the_state_of_a_server_can_be_looked_at_without_changing_it(running: Server, old: Release) -> None:
    with running.client() as client:
        seen = client.inspect(hash_releases=[old.identifier])
    assert seen["current"] == old.identifier
    assert seen["hash"] == {old.identifier: []}
    assert seen["lock"] == {"held": False}
    assert seen["run"]["status"] == "succeeded"
    assert seen["units"][0]["active"] == "active"
    assert seen["units"][0]["enabled"] == "enabled"
    assert seen["health"]["bot"]["version"] == "1.0"
    assert seen["fence"] == 1
    running.shell(f"chmod u+w {ROOT}/current/service.py; echo >> {ROOT}/current/service.py")
    with running.client() as client:
        seen = client.inspect(hash_releases=[old.identifier])
    assert seen["hash"] == {old.identifier: [["service.py", "mode"]]}


def test_what_runs_can_be_verified_at_any_time(running: Server, old: Release, new: Release) -> None:
    with running.client() as client:
        assert client.verify(old.identifier, old.version, [role()]).status == "succeeded"
        assert client.verify(new.identifier, new.version, [role()]).reason == "wrong_release"
        running.shell(f"rm -f {ROOT}/current/bin/tool")
        assert client.verify(old.identifier, old.version, [role()]).reason == "files_wrong"


def test_five_deployments_in_a_row_do_not_trip_the_start_limit(running: Server, old: Release, new: Release) -> None:
    pair = (new, old)
    for fence in range(2, 10):
        result = running.run(pair[fence % 2], fence, base=pair[(fence + 1) % 2])
        assert result.status == "succeeded", result


def test_deadlines_name_every_step() -> None:
    from engine.host.agent.limits import MOMENTS
    from engine.host.agent.run import STEPS

    assert set(DEADLINES) == set(STEPS) - set(MOMENTS), "a hook brings its own"


def test_an_unknown_tree_is_called_not_provisioned(running: Server) -> None:
    from engine.remote.errors import NotProvisioned

    with Session(running.address, running.key) as session, pytest.raises(NotProvisioned, match="Run provision"):
        AgentClient(session, NAME + "-of-others").inspect()


SOCKET = b"[Socket]\nListenStream=127.0.0.1:9999\n[Install]\nWantedBy=sockets.target\n"
BEHIND = f"[Service]\nUser={NAME}\nExecStart=/bin/sleep infinity\n".encode()


def test_a_listening_socket_stays_while_its_service_restarts(running: Server, old: Release) -> None:
    units = {UNIT: UNIT_FILE, "extra.socket": SOCKET, "extra.service": BEHIND}
    first, second = with_units("2.0", units), with_units("3.0", units)
    with_socket = role_of(first)
    try:
        result = running.run(first, 2, base=old, roles=with_socket)
        assert result.status == "succeeded", result
        since = running.shell("systemctl show -p ActiveEnterTimestampMonotonic --value extra.socket")
        result = running.run(second, 3, base=first, roles=with_socket)
        assert result.status == "succeeded", result
        reverted = running.run(first, 4, base=second, roles=with_socket, config={"crash": True})
        assert reverted.status == "reverted", reverted
        assert running.shell("systemctl show -p ActiveEnterTimestampMonotonic --value extra.socket") == since
    finally:
        assert running.run(old, 5, base=second).status == "succeeded"

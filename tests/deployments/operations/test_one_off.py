"""Asking for a command: where nobody may, what is refused in it, and what is kept of it."""

import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from deployments.core.actors import system_actor
from deployments.core.masking import Mask
from deployments.environments.guards import refuse_locked
from deployments.management.commands.run import Command
from deployments.models import ApiToken, AuditEvent, Environment, Operation, Secret, Server
from deployments.operations.carrying_out import (
    DOERS,
    Ending,
    carry_out,
    end,
    settle_lost,
)
from deployments.operations.hearing import KEPT_OUTPUT, MOST_OUTPUT, Heard
from deployments.operations.one_off import OneOffCommand, run_command
from deployments.operations.requesting import operate
from engine.artifacts.artifact import build_artifact
from engine.artifacts.wheels import DirectoryWheels
from engine.errors import InvalidRequest, NotAllowed, NotFound
from tests.deployments.world import World
from tests.fixtures.records import EXAMPLE, hand_token, stored

RUN = Operation.Kind.RUN


@pytest.fixture
def server(world: World) -> Server:
    """One of an environment that asks for no approvals, on which something runs."""
    world.succeeded(world.releases[0], "test")
    return Server.objects.get(environment=world.test)


def asked(world: World, server: Server, *command: str, seconds: float = 60) -> Operation:
    return run_command(actor=world.people["operator"], server=server, wanted=OneOffCommand(command, seconds=seconds))


@pytest.mark.parametrize("who", ["operator", "requester"])
def test_nobody_runs_a_command_where_approvals_are_needed(who: str, world: World) -> None:
    world.succeeded(world.releases[0])
    server = world.servers["production"]
    with pytest.raises(NotAllowed, match="needs approvals") as refused:
        run_command(actor=world.people[who], server=server, wanted=OneOffCommand(["id"]))
    assert refused.value.reason == "needs_approval"
    assert not Operation.objects.exists()


def test_a_locked_environment_takes_no_command(world: World, server: Server) -> None:
    Environment.objects.filter(pk=world.test.pk).update(locked_by="x", lock_reason="quiet", locked_at=timezone.now())
    locked = Server.objects.get(pk=server.pk)
    with pytest.raises(NotAllowed):
        refuse_locked(locked.environment)
    with pytest.raises(NotAllowed):
        asked(world, locked, "id")


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The kinds of what was begun on a server; there is none here."""
    begun: list[str] = []

    def doer(row: Operation, hear: Any) -> Ending:
        begun.append(row.kind)
        return Ending(Operation.State.SUCCEEDED, "success", "Done.")

    monkeypatch.setattr("deployments.operations.carrying_out.DOERS", dict.fromkeys(Operation.Kind, doer))
    return begun


def _stricter(server: Server) -> None:
    Environment.objects.filter(pk=server.environment_id).update(approvals_required=1)


def _locked(server: Server) -> None:
    now = timezone.now()
    Environment.objects.filter(pk=server.environment_id).update(locked_by="x", lock_reason="quiet", locked_at=now)


def _retired(server: Server) -> None:
    Environment.objects.filter(pk=server.environment_id).update(retired_at=timezone.now())


def _decommissioned(server: Server) -> None:
    Server.objects.filter(pk=server.pk).update(state=Server.State.RETIRED)


def _emptied(server: Server) -> None:
    Server.objects.filter(pk=server.pk).update(current_release=None)


def _another_role(server: Server) -> None:
    Server.objects.filter(pk=server.pk).update(roles=["portal"])


@pytest.mark.parametrize(
    ("change", "command", "restart"),
    [
        (_stricter, "needs_approval", ""),
        (_locked, "environment_locked", ""),
        (_retired, "retired", "retired"),
        (_decommissioned, "nothing_runs", "nothing_runs"),
        (_emptied, "nothing_runs", "nothing_runs"),
        (_another_role, "unknown_unit", ""),
    ],
)
def test_what_waited_begins_only_where_it_could_be_asked_for_now(
    change: Callable[[Server], None], command: str, restart: str, world: World, server: Server, done: list[str]
) -> None:
    """A lock is about releases and what is like them: a service is got back all the same."""
    for kind, outcome in ((RUN, command), (Operation.Kind.RESTART, restart)):
        if kind == RUN:
            row = asked(world, server, "id")
        else:
            row = operate(actor=world.people["operator"], server=server, kind=kind)
        before = Environment.objects.filter(pk=server.environment_id).values().get()
        change(server)
        done.clear()
        ended = carry_out(number=row.pk)
        assert (ended.outcome, done) == ((outcome, []) if outcome else ("success", [kind]))
        Environment.objects.filter(pk=server.environment_id).update(**before)
        server.save()


@pytest.fixture
def portal_server(world: World, server: Server, tmp_path: Path) -> Server:
    """One with the roles bot and portal; the unit of the latter has keys of its own."""
    tree = tmp_path / "tree"
    shutil.copytree(EXAMPLE, tree)
    text = (tree / "deploy.toml").read_text()
    (tree / "VERSION").write_text("1.2.0\n")
    (tree / "deploy.toml").write_text(f'{text}\n[roles.portal]\nunits = ["systemd/portal.service"]\n')
    unit = (tree / "systemd" / "dice-bot.service").read_text().replace("User=dice-bot", "User=rosey-portal")
    (tree / "systemd" / "portal.service").write_text(unit)
    built = build_artifact(tree, None, DirectoryWheels(tree), tmp_path)
    server.roles, server.current_release = ["bot", "portal"], stored(built)
    server.save()
    return server


def test_no_command_is_given_the_keys_of_the_portal(world: World, portal_server: Server, done: list[str]) -> None:
    """By no way in, also where it is the only service there."""
    name, unit = portal_server.name, "portal.service"
    assert asked(world, portal_server, "id").request["unit"] == "dice-bot.service"
    Operation.objects.all().delete()
    page = reverse("admin:deployments_server_run", args=[portal_server.pk])
    form = world.client("operator").get(page).content.decode()
    assert "dice-bot.service" in form
    assert unit not in form
    for roles, units in ((["bot", "portal"], [unit]), (["portal"], [unit, ""])):
        Server.objects.update(roles=roles)
        for chosen in units:
            body = {"command": ["id"], **({"unit": chosen} if chosen else {})}
            said = world.api("operator", "post", f"/servers/{name}/commands", body)
            assert (said.status_code, said.json()["reason"]) == (403, "not_for_commands")
            code, told = world.command("operator", "run", "test", *(["--unit", chosen] if chosen else []), "--", "id")
            assert (code, "ops-not-for-commands" in told) == (1, True)
            world.client("operator").post(page, {"command": "id", "unit": chosen, "reason": ""})
    assert (Operation.objects.count(), done) == (0, [])


def test_the_value_of_a_secret_is_refused_in_a_command_and_nothing_of_it_is_kept(world: World, server: Server) -> None:
    Secret.objects.create(environment=world.test, name="db-password", value="hunter2222", version=1)
    with pytest.raises(InvalidRequest, match="CREDENTIALS_DIRECTORY") as refused:
        asked(world, server, "psql", "--password=hunter2222")
    assert "hunter2222" not in refused.value.said
    assert not AuditEvent.objects.filter(name="service.run_requested").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["echo", "MIGHAgEAMBMGByqGSM49"], "value of a secret"),  # a line of it
        (["echo", "hunter22"], "value of a secret"),  # without its line break
        (["echo", "correct", "horse", "battery"], "value of a secret"),  # as a shell splits it
        (["echo", "\udcff"], "UTF-8"),
    ],
)
def test_a_command_holds_no_part_of_a_secret_and_is_text(
    words: list[str], said: str, world: World, server: Server
) -> None:
    for name, value in (("pem", "-----BEGIN\nMIGHAgEAMBMGByqGSM49\n"), ("a", "hunter22\n"), ("b", "horse battery")):
        Secret.objects.create(environment=world.test, name=name, value=value, version=1)
    with pytest.raises(InvalidRequest, match=said):
        asked(world, server, *words)
    assert not Operation.objects.exists()


def test_what_a_command_printed_is_for_those_who_may_run_one_or_read_the_journal(world: World, server: Server) -> None:
    row = asked(world, server, "env")
    end(row, Ending(Operation.State.SUCCEEDED, "success", "Done.", {"exit": 0}, "what was printed"))
    pages = [
        reverse("admin:deployments_operation_change", args=[row.pk]),
        reverse("admin:deployments_operation_progress", args=[row.pk]),
    ]
    for who, sees in (("operator", True), ("viewer", False), ("approver", False)):
        assert world.api(who, "get", f"/operations/{row.pk}").json()["output"] == ("what was printed" if sees else "")
        for page in pages:
            content = world.client(who).get(page).content.decode()
            assert ("what was printed" in content, "is for those who may run" in content) == (sees, not sees)
    for scopes, sees in ((["read", "run"], True), (["read", "operate"], True), (["read"], False)):
        token = hand_token(world.user("operator"), str(scopes))
        ApiToken.objects.filter(name=str(scopes)).update(scopes=scopes)
        answer = Client().get(f"/api/v1/operations/{row.pk}", headers={"Authorization": f"Bearer {token}"})
        assert answer.json()["output"] == ("what was printed" if sees else "")


def test_the_trail_knows_who_where_what_exit_code_and_for_how_long(
    world: World, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = Ending(Operation.State.FAILED, "exit-code", "The command ended with 3.", {"exit": 3})
    monkeypatch.setitem(DOERS, RUN, lambda row, hear: ended)
    row = carry_out(number=asked(world, server, "sh", "-c", "exit 3").pk)
    assert (row.exit_code, row.shown_command) == (3, "sh -c 'exit 3'")
    failed, requested = AuditEvent.objects.filter(name__startswith="service.run").order_by("-sequence")
    assert (requested.actor, requested.subject) == ("operator", f"server:{server.name}")
    assert requested.data["command"] == ["sh", "-c", "exit 3"]
    assert (failed.data["exit"], failed.data["by"], failed.data["seconds"] >= 0) == (3, "operator", True)


@pytest.mark.parametrize(
    ("wanted", "error"),
    [
        (OneOffCommand([]), InvalidRequest),
        (OneOffCommand([" "]), InvalidRequest),
        (OneOffCommand(["a\0b"]), InvalidRequest),
        (OneOffCommand(["x" * 9000]), InvalidRequest),
        (OneOffCommand(["id"], unit="ssh.service"), NotFound),
        (OneOffCommand(["id"], seconds=0), InvalidRequest),
        (OneOffCommand(["id"], seconds=float("nan")), InvalidRequest),
        (OneOffCommand(["id"], seconds=3600), InvalidRequest),
    ],
)
def test_what_is_no_command_is_refused(
    wanted: OneOffCommand, error: type[Exception], world: World, server: Server
) -> None:
    with pytest.raises(error):
        run_command(actor=world.people["operator"], server=server, wanted=wanted)
    assert not Operation.objects.exists()


def test_a_command_is_given_up_only_after_its_own_time(world: World, server: Server) -> None:
    row = asked(world, server, "sleep", "500", seconds=600)
    Operation.objects.update(requested_at=timezone.now() - timedelta(minutes=10))
    assert settle_lost(actor=system_actor("reaper")) == 0
    Operation.objects.update(requested_at=timezone.now() - timedelta(minutes=17))
    assert settle_lost(actor=system_actor("reaper")) == 1
    row.refresh_from_db()
    assert row.ended


def test_of_much_output_the_beginning_and_the_end_are_kept_and_a_hostile_server_is_not_heard_for_ever() -> None:
    told, followed = list[str](), list[str]()
    heard = Heard(Mask([("A", "hunter22")]), told.append, followed.append)
    heard("a hunter22\tb")
    for number in range(30_000):
        heard(f"line {number}")
    lines = heard.kept.splitlines()
    assert (told[0], lines[0], lines[-1]) == ("a [secret A]      b", "a [secret A]      b", "line 29999")
    assert "(lines are left out here)" in lines
    assert followed[0] == "a [secret A]      b", "a page need not wait for the end"
    assert len(heard.kept) < KEPT_OUTPUT + 100
    for _ in range(100):
        heard("x" * (MOST_OUTPUT // 50))
    assert sum(map(len, told)) <= MOST_OUTPUT


@pytest.mark.parametrize(
    ("typed", "command"),
    [
        (["test", "--", "id", "-un"], ["id", "-un"]),
        (["test", "id", "-un"], ["id", "-un"]),
        (["test", "--server", "test-1", "--", "git", "log", "--", "a"], ["git", "log", "--", "a"]),
        (["test", "--", "git", "log", "--", "a"], ["git", "log", "--", "a"]),
        (["--server", "test-1", "test", "--timeout", "5", "--", "x", "--server", "y"], ["x", "--server", "y"]),
    ],
)
def test_the_words_behind_the_dashes_are_the_commands_own(typed: list[str], command: list[str]) -> None:
    said = vars(Command().create_parser("manage.py", "run").parse_args(typed))
    words = said["command"]
    assert (said["environment"], words[words[:1] == ["--"] :]) == ("test", command)
    assert said["server"] == ("test-1" if "test-1" in typed else None)

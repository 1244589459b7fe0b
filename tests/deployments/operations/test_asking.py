"""Asking for an operation: what is in the way, what is recorded, and what pages then say."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.urls import reverse
from django.utils import timezone

from dashboard.selectors.bots import all_bots
from deployments.core.actors import system_actor
from deployments.execution.claims import claim
from deployments.lifecycle import Status
from deployments.models import AuditEvent, Deployment, Operation, Server
from deployments.operations.carrying_out import Ending, carry_out, end, settle_lost
from deployments.operations.data import backups_on
from deployments.operations.requesting import operate
from deployments.servers.drift import drift_of
from engine.errors import Conflict, EnvironmentBusy, InvalidRequest, NotFound, TargetError
from engine.remote import Result
from tests.deployments.world import World

KINDS = Operation.Kind
UNIT = "dice-bot.service"


@pytest.fixture
def server(world: World) -> Server:
    """Production's, on which something runs."""
    world.succeeded(world.releases[0])
    return Server.objects.get(environment=world.production)


def ask(world: World, server: Server, kind: Operation.Kind = KINDS.RESTART, **more: Any) -> Operation:
    return operate(actor=world.people["operator"], server=server, kind=kind, **more)


def ended(
    world: World, server: Server, kind: Operation.Kind, units: list[str], reason: str = "quiet, please"
) -> Server:
    row = ask(world, server, kind, reason=reason)
    end(row, Ending(Operation.State.SUCCEEDED, kind.value, "Done.", {"units": units}))
    return Server.objects.get(pk=server.pk)


@pytest.mark.parametrize(
    ("kind", "facts", "stopped"),
    [
        (KINDS.STOP, {"running": [], "stopped": [UNIT]}, [UNIT]),
        (KINDS.STOP, {"running": [UNIT], "stopped": []}, []),
        (KINDS.RESTORE, {"running": [], "stopped": [UNIT]}, [UNIT]),
        (KINDS.RESTORE, {"running": [], "stopped": "dice-bot.service"}, []),
        (KINDS.RESTORE, {"running": 7, "stopped": [{}, None]}, []),
        (KINDS.RESTART, {"running": [], "stopped": [UNIT]}, []),
    ],
)
def test_what_a_failure_leaves_stopped_is_on_the_record(
    kind: Operation.Kind, facts: dict[str, Any], stopped: list[str], world: World, server: Server
) -> None:
    request = {"units": [], "backup": "20260101T000000Z-1"}
    row = Operation.objects.create(
        server=server, kind=kind, requested_by="operator", request=request, reason="x", state=Operation.State.RUNNING
    )
    end(row, Ending(Operation.State.FAILED, "unit_stuck", "It failed.", facts))
    server.refresh_from_db()
    assert (server.stopped_units, server.bot_stopped) == (stopped, bool(stopped))


def test_what_runs_after_a_failure_is_not_stopped(world: World, server: Server) -> None:
    server = ended(world, server, KINDS.STOP, [UNIT, "dice-worker.service"])
    row = ask(world, server, KINDS.START, reason="go on")
    end(row, Ending(Operation.State.FAILED, "unit_failed", "It failed.", {"running": [UNIT], "stopped": []}))
    server.refresh_from_db()
    assert server.stopped_units == ["dice-worker.service"]


STAMPED = "20260101T000000Z-1"


@pytest.mark.parametrize(
    "said",
    [
        *([{"name": STAMPED, "databases": [{"bytes": size}]}] for size in ("x", [1], -1, 1.5, 10**400)),
        *("x", {"a": 1}, 7, None, [7], [None], [[]]),
    ],
)
def test_what_a_server_says_of_its_backups_is_a_list_or_a_sentence(
    said: Any, world: World, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "deployments.operations.data._ask", lambda server: Result("succeeded", "listed", "", facts={"backups": said})
    )
    with pytest.raises(TargetError, match=r"^The server "):
        backups_on(actor=world.people["operator"], server=server)


@pytest.mark.parametrize("status", [Status.QUEUED, Status.RUNNING, Status.VERIFYING])
def test_nothing_is_done_beside_a_deployment(status: Status, world: World) -> None:
    world.succeeded(world.releases[0], "test")
    row = world.request(environment="test")
    claim(row.pk)
    Deployment.objects.filter(pk=row.pk).update(status=status)
    for kind in KINDS:
        with pytest.raises(EnvironmentBusy):
            ask(world, Server.objects.get(environment=world.test), kind, reason="x")
    assert not Operation.objects.exists()


@pytest.mark.parametrize("what", ["written", "changed", "switched off", "lost the role", "asked"])
def test_what_nobody_stands_behind_is_not_carried_out(
    what: str, world: World, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    def doer(row: Operation, _hear: Any) -> Ending:
        done.append(row.kind)
        return Ending(Operation.State.SUCCEEDED, "done", "Done.")

    monkeypatch.setattr("deployments.operations.carrying_out.DOERS", dict.fromkeys(KINDS, doer))
    if what == "written":
        row = Operation.objects.create(server=server, kind=KINDS.RESTORE, requested_by="administrator", request={})
    else:
        row = ask(world, server)
    if what == "changed":
        Operation.objects.filter(pk=row.pk).update(request={"units": [], "backup": "20260101T000000Z-1"})
    elif what == "switched off":
        User.objects.filter(username="operator").update(is_active=False)
    elif what == "lost the role":
        User.objects.get(username="operator").groups.clear()
    ended = carry_out(number=row.pk)
    assert (done, ended.outcome) == ((["restart"], "done") if what == "asked" else ([], "nobody_behind_it"))


def test_one_at_a_time_on_a_server(world: World, server: Server) -> None:
    first = ask(world, server)
    with pytest.raises(Conflict, match=f"Restart {first.pk} on {server.name} is under way, asked for by operator"):
        ask(world, server, KINDS.STOP, reason="x")
    end(first, Ending(Operation.State.FAILED, "unit_failed", "No."))
    ask(world, server)


def test_where_nothing_runs_there_is_nothing_to_restart(world: World) -> None:
    with pytest.raises(Conflict, match="Nothing has been deployed"):
        ask(world, world.servers["production"])


def test_a_unit_of_somebody_else_is_named_with_those_that_exist(world: World, server: Server) -> None:
    with pytest.raises(NotFound, match=f"Choose from: {UNIT}"):
        ask(world, server, units=["sshd.service"])


def test_stopping_needs_a_reason(world: World, server: Server) -> None:
    with pytest.raises(InvalidRequest, match="needs a reason"):
        ask(world, server, KINDS.STOP)


def test_a_stopped_bot_is_told_as_stopped_by_whom_and_is_no_trouble(world: World, server: Server) -> None:
    stopped = ended(world, server, KINDS.STOP, [UNIT])
    [bot] = [bot for bot in all_bots(timezone.now()) if bot.name == server.name]
    assert (bot.word, bot.on_purpose) == ("Stopped", True)
    page = world.client("viewer").get(reverse("bot", args=[server.name])).content.decode()
    assert f"{UNIT} stopped by operator: quiet, please" in page
    status = world.client("viewer").get("/").content.decode()
    assert "need attention" not in status
    assert "needs attention" not in status
    facts = {"current": str(world.releases[0]), "config": "", "hash": {}, "secrets": {}}
    unit = {"unit": UNIT, "sha256": "", "problem": f"{UNIT} is inactive (dead).", "enabled": "", "needs_reload": False}
    assert drift_of(stopped, {**facts, "units": [unit]}) == []
    started = ended(world, server, KINDS.START, [UNIT])
    assert started.stopped is None
    assert drift_of(started, {**facts, "units": [unit]}) == [unit["problem"]]


def test_strangers_are_not_told_who_stopped_it(world: World, server: Server) -> None:
    ended(world, server, KINDS.STOP, [UNIT])
    page = world.client("none").get(reverse("bot", args=[server.name])).content.decode()
    assert "quiet, please" not in page


def test_what_nobody_waits_for_any_more_is_ended_once(world: World, server: Server) -> None:
    row = ask(world, server)
    Operation.objects.update(state=Operation.State.RUNNING)
    reaper = system_actor("reaper")
    assert settle_lost(actor=reaper) == 0
    Operation.objects.update(requested_at=timezone.now() - timedelta(hours=1))
    assert settle_lost(actor=reaper) == 1
    assert settle_lost(actor=reaper) == 0
    row.refresh_from_db()
    assert (row.state, row.exit_code) == (Operation.State.LOST, 7)
    assert end(row, Ending(Operation.State.SUCCEEDED, "late", "Late.")).state == Operation.State.LOST
    names = list(AuditEvent.objects.filter(name__startswith="service.").values_list("name", flat=True))
    assert names == ["service.restart_lost", "service.restart_requested"]


def test_the_buttons_are_on_both_pages_for_those_who_may(world: World, server: Server) -> None:
    pages = [reverse("bot", args=[server.name]), reverse("admin:deployments_server_change", args=[server.pk])]
    for url in pages:
        restart = reverse("admin:deployments_server_restart", args=[server.pk])
        assert restart in world.client("operator").get(url).content.decode()
        assert restart not in world.client("viewer").get(url).content.decode()
    said = world.client("operator").get(reverse("admin:deployments_server_stop", args=[server.pk])).content.decode()
    assert "until somebody starts it, a release is deployed, or the server boots" in said


def test_the_page_of_an_operation_follows_it_to_its_end(world: World, server: Server) -> None:
    client = world.client("operator")
    answer = client.post(reverse("admin:deployments_server_restart", args=[server.pk]), {"reason": ""}, follow=True)
    assert "Queued" in answer.content.decode()
    row = Operation.objects.get()
    progress = reverse("admin:deployments_operation_progress", args=[row.pk])
    assert client.get(progress).status_code == 200
    end(row, Ending(Operation.State.FAILED, "unit_failed", "It does not start.", {}, "Traceback"))
    page = client.get(progress)
    assert (page.status_code, b"It does not start." in page.content, b"Traceback" in page.content) == (286, True, True)

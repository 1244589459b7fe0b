"""A rollback takes what was sealed with the success it goes back to; secrets alone are the newest."""

from typing import Any

import pytest
from django.utils import timezone

from deployments.admin.decisions import RollBack
from deployments.drills.drills import drill_rollback
from deployments.environments.settings import configure_environment
from deployments.execution.claims import claim
from deployments.lifecycle import Kind, Status
from deployments.models import AuditEvent, Deployment, Environment, Release, Secret, Server
from deployments.requests.approvals import approve
from deployments.requests.bake import report_alert
from deployments.requests.rollback_targets import all_in_quarantine, why_none
from deployments.requests.rollbacks import request_rollback
from engine.errors import EnvironmentBusy, InvalidRequest
from tests.deployments.world import World

SEALED = {"dice.json": {"sides": 6}}


@pytest.fixture
def settled(world: World) -> World:
    """Production ran the first release with six sides, then the second; afterwards somebody edited everything."""
    Environment.objects.filter(name="production").update(configuration=SEALED, bake_seconds=77)
    world.succeeded(world.releases[0])
    world.succeeded(world.releases[1])
    return world


def _edit(world: World) -> None:
    changes: dict[str, Any] = {
        "configuration": {"dice.json": {"sides": 666}},
        "bake_seconds": 1,
        "bake_action": "pause",
    }
    configure_environment(actor=world.people["administrator"], environment=world.production, changes=changes)
    Server.objects.filter(environment=world.production).update(unit_files={"dice-bot.service": "0" * 64})
    Secret.objects.create(
        environment=world.production, name="dice-token", version=1, value="x" * 9, created_by="administrator"
    )


def _check(row: Deployment) -> None:
    assert '"sides": 6\n' in row.snapshot["configuration"]["files"]["dice.json"]
    assert row.snapshot["policy"]["bake_seconds"] == 77
    assert row.snapshot["policy"]["bake_action"] == "rollback"
    assert row.snapshot["targets"][0]["unit_files"] == {}
    assert row.snapshot["consent"]["deployment"]


def test_an_edit_that_waits_for_a_deployment_does_not_travel_with_a_rollback(settled: World) -> None:
    _edit(settled)
    row = request_rollback(actor=settled.people["operator"], environment=settled.production, reason="x")
    _check(row)
    assert claim(row.pk) is not None


def test_nor_an_edit_between_request_and_claim(settled: World) -> None:
    row = request_rollback(actor=settled.people["operator"], environment=settled.production, reason="x")
    _edit(settled)
    assert claim(row.pk) is not None
    row.refresh_from_db()
    _check(row)


def test_nor_one_that_the_old_release_could_not_take(settled: World) -> None:
    Environment.objects.filter(name="production").update(configuration={"new.json": {"only": "the newest has it"}})
    row = request_rollback(actor=settled.people["operator"], environment=settled.production, reason="x")
    _check(row)


def test_nor_with_the_bake(settled: World) -> None:
    baking = Deployment.objects.filter(environment=settled.production).first()
    assert baking is not None
    assert baking.finished_at is not None
    Deployment.objects.filter(pk=baking.pk).update(bake_until=baking.finished_at.replace(year=2999))
    _edit(settled)
    row = report_alert(
        actor=settled.people["operator"],
        environment=settled.production,
        name="BotDown",
        severity="critical",
        began_at=baking.finished_at,
        summary="x",
    )
    assert row is not None
    _check(row)


def test_nor_with_a_drill(settled: World) -> None:
    _edit(settled)
    done: list[Deployment] = []

    def ended(row: Deployment) -> Deployment:
        done.append(row)
        Deployment.objects.filter(pk=row.pk).update(status=Status.SUCCEEDED, finished_at=row.requested_at)
        row.refresh_from_db()
        return row

    drill_rollback(actor=settled.people["operator"], environment=settled.production, carry_out=ended)
    assert [row.release for row in done] == settled.releases
    for row in done:
        _check(row)


def test_nor_when_it_waited_and_is_sealed_again(settled: World) -> None:
    row = settled.request()
    approve(actor=settled.people["approver"], deployment=row)
    Deployment.objects.filter(pk=row.pk).update(status=Status.RUNNING)
    rollback = request_rollback(actor=settled.people["operator"], environment=settled.production, reason="x")
    assert rollback.status == Status.AWAITING_APPROVAL
    assert rollback.sentence == f"Waits until deployment {row.pk} is cancelled."
    Deployment.objects.filter(pk=row.pk).update(status=Status.QUEUED)
    _edit(settled)
    assert claim(row.pk) is None, "the deployment itself is void"
    rollback.refresh_from_db()
    assert (rollback.status, rollback.sentence) == (Status.QUEUED, "")
    event = AuditEvent.objects.get(name="rollback.queued")
    assert (event.actor, event.subject) == ("system:queue", f"deployment:{rollback.pk}")
    assert event.data == {"after": row.pk, "seal": rollback.seal}
    _check(rollback)
    assert claim(rollback.pk) is not None


def test_after_an_interruption_a_rollback_goes_to_what_ran_before_and_says_what_it_undoes(settled: World) -> None:
    row = settled.request()
    Deployment.objects.filter(pk=row.pk).update(status=Status.INTERRUPTED, fence=9, finished_at=row.requested_at)
    rollback = request_rollback(actor=settled.people["operator"], environment=settled.production, reason="x")
    assert rollback.rollback_of == row
    assert rollback.release == settled.releases[0]
    event = AuditEvent.objects.get(name="rollback.requested", subject=f"deployment:{rollback.pk}")
    assert event.data == {
        "release": rollback.release.identifier,
        "reason": "x",
        "seal": rollback.seal,
        "status": "queued",
        "targets": [settled.servers["production"].name],
        "rollback_of": row.pk,
    }


def test_a_rollback_that_succeeded_is_no_success_of_its_own(settled: World) -> None:
    """What a rollback shipped is not what later rollbacks reproduce: they go back to what was consented to."""
    row = request_rollback(actor=settled.people["operator"], environment=settled.production, reason="x")
    row.snapshot["configuration"]["files"] = {}
    row.status, row.finished_at = Status.SUCCEEDED, row.requested_at
    row.save()
    again = request_rollback(
        actor=settled.people["operator"], environment=settled.production, reason="x", to=settled.releases[0]
    )
    _check(again)


def test_what_says_where_and_how_is_current(settled: World) -> None:
    Server.objects.filter(environment=settled.production).update(host="moved.invalid", user="other")
    Secret.objects.create(environment=settled.production, name="dice-token", version=7, value="x" * 9, created_by="x")
    row = request_rollback(actor=settled.people["operator"], environment=settled.production, reason="x")
    target = row.snapshot["targets"][0]
    assert (target["host"], target["user"]) == ("moved.invalid", "other")
    assert target["base"]["release"] == settled.releases[1].identifier
    assert set(target["secrets"].values()) <= {7}
    Server.objects.filter(environment=settled.production).update(host="elsewhere.invalid")
    assert claim(row.pk) is None
    assert Deployment.objects.get(pk=row.pk, kind=Kind.ROLLBACK).status == Status.SUPERSEDED


def _condemn(release: Release) -> None:
    Release.objects.filter(pk=release.pk).update(
        quarantined_at=timezone.now(), quarantined_by="olga", quarantine_reason="it crashes"
    )


def test_nobody_goes_back_to_what_was_taken_back_for_being_bad(settled: World) -> None:
    """It had approvals once; somebody has found out since what is wrong with it."""
    first, operator = settled.releases[0], settled.people["operator"]
    _condemn(first)
    with pytest.raises(InvalidRequest, match=r"is in quarantine \(it crashes\)") as refused:
        request_rollback(actor=operator, environment=settled.production, reason="x", to=first)
    assert refused.value.reason == "quarantined"
    assert not Deployment.objects.filter(kind=Kind.ROLLBACK).exists()


def test_no_page_offers_it(settled: World) -> None:
    earlier = Deployment.objects.get(release=settled.releases[0], environment=settled.production)
    action, operator = RollBack(), settled.people["operator"]
    assert action.offered(earlier, operator)
    _condemn(settled.releases[0])
    assert not action.offered(Deployment.objects.get(pk=earlier.pk), operator)


def test_what_runs_is_not_called_a_way_back_that_is_closed(settled: World) -> None:
    first, second = settled.releases
    _condemn(second)
    live = {settled.production.pk: second}
    assert all_in_quarantine([settled.production], live) == {}
    _condemn(first)
    assert all_in_quarantine([settled.production], live) == {
        settled.production.pk: f"production cannot go back: {first} is in quarantine."
    }


def test_a_drill_goes_back_and_forth_whatever_is_found_out_meanwhile(settled: World) -> None:
    def leg(to: Release) -> Deployment:
        operator, where = settled.people["operator"], settled.production
        return request_rollback(actor=operator, environment=where, reason="x", to=to, drill=True)

    first, second = settled.releases
    back = leg(first)
    assert back.release == first
    _condemn(second)
    Deployment.objects.filter(pk=back.pk).update(status=Status.SUCCEEDED, finished_at=timezone.now())
    assert leg(second).release == second


def test_why_there_is_nothing_to_go_back_to(world: World) -> None:
    first, second = world.releases
    lone = "production has no earlier release to go back to: "
    assert why_none(world.production) == f"{lone}none has succeeded there."
    for _ in range(2):
        world.succeeded(first)
    world.succeeded(second, "test", approved_by=())
    assert why_none(world.production) == f"{lone}one alone has succeeded there."
    world.succeeded(second)
    assert why_none(world.production) == ""
    _condemn(first)
    assert why_none(world.production) == f"production cannot go back: {first} is in quarantine."
    Release.objects.filter(pk=first.pk).update(quarantined_at=None, artifact_digest="0" * 64)
    assert why_none(world.production).startswith(f"{first} is no rollback target of production: ")


def test_a_second_click_begins_nothing_anew_and_another_target_takes_its_place(settled: World) -> None:
    first, second = settled.releases
    operator, production = settled.people["operator"], settled.production
    back = request_rollback(actor=operator, environment=production, reason="x", to=first)
    Deployment.objects.filter(pk=back.pk).update(status=Status.RUNNING)
    with pytest.raises(EnvironmentBusy, match=f"going back to {first} already: rollback {back.pk}") as refused:
        request_rollback(actor=operator, environment=production, reason="x", to=first)
    assert f"cancel {back.pk}`" in refused.value.hint
    assert Deployment.objects.get(pk=back.pk).cancel_requested_by == ""
    waiting = request_rollback(actor=operator, environment=production, reason="x", to=second)
    assert (waiting.status, waiting.rollback_of) == (Status.AWAITING_APPROVAL, back)
    assert waiting.sentence == f"Waits until deployment {back.pk} is cancelled."
    with pytest.raises(EnvironmentBusy, match=f"going back to {second} already: rollback {waiting.pk}"):
        request_rollback(actor=operator, environment=production, reason="x", to=second)
    Deployment.objects.filter(pk=back.pk).update(kind=Kind.DEPLOYMENT)
    other = request_rollback(actor=operator, environment=production, reason="x", to=first)
    old = Deployment.objects.get(pk=waiting.pk)
    assert (old.status, old.outcome) == (Status.SUPERSEDED, "superseded")
    assert old.sentence == "operator asked for another rollback before this one could begin."
    event = AuditEvent.objects.get(name="rollback.superseded")
    assert (event.actor, event.subject, event.environment) == ("operator", f"deployment:{old.pk}", "production")
    assert other.status == Status.AWAITING_APPROVAL

"""What an approver sees: what ran before, what ended last, what each server gets; of this request and of no other."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from deployments.lifecycle import Kind, Status
from deployments.models import Deployment, Environment, Release, Server
from deployments.requests.approvals import approve
from deployments.requests.reviews import Review, review_of
from deployments.requests.rollbacks import request_rollback
from engine.errors import NotAllowed
from tests.deployments.world import World


def review(world: World, row: Deployment) -> Review:
    return review_of(actor=world.people["approver"], deployment=Deployment.objects.get(pk=row.pk))


def ended(
    world: World, release: Release, status: Status, hours_ago: float, environment: str = "production"
) -> Deployment:
    """What took 90 seconds then."""
    row, then = world.succeeded(release, environment), timezone.now() - timedelta(hours=hours_ago)
    begun = then - timedelta(seconds=90)
    Deployment.objects.filter(pk=row.pk).update(
        status=status, started_at=begun, finished_at=then, requested_at=begun, queued_at=begun
    )
    return row


def test_a_first_deployment_has_nothing_before_it(world: World) -> None:
    found = review(world, world.request())
    assert (found.way_back, found.last, found.expected_seconds, found.rollback_seconds) == (None, None, None, None)
    assert found.first_deployment
    assert (found.given, found.needed, found.broken, found.approvals, found.unreadable) == (0, 1, [], [], "")
    assert found.change_log == ["1.1.0: say more", "1.0.0: say more"]
    (server,) = found.servers
    assert (server.name, server.canary, server.roles, server.base, server.same_as) == (
        "production-1",
        True,
        ["bot"],
        "",
        "",
    )
    assert server.fingerprint == world.servers["production"].fingerprint
    assert (server.jump, server.jump_fingerprint, server.secrets) == ("", "", [])


def test_what_ran_before_is_the_last_success_and_what_ended_last_is_told_beside_it(world: World) -> None:
    old, new = world.releases
    ended(world, new, Status.SUCCEEDED, 9)
    before = ended(world, old, Status.SUCCEEDED, 8)
    failed = ended(world, new, Status.FAILED, 7)
    ended(world, new, Status.SUCCEEDED, 6, "test")
    Server.objects.filter(environment=world.production).update(current_release=old)
    row = world.request()
    found = review(world, row)
    assert (found.way_back, found.last) == (old, failed)
    assert found.expected_seconds == 90
    assert found.rollback_seconds is None
    assert found.change_log == ["1.1.0: say more"], "what the one that runs has already is not news"
    assert not found.first_deployment
    assert found.servers[0].base == old.identifier
    assert found.left_behind == [], "that is for rollbacks"
    later = ended(world, new, Status.SUCCEEDED, -1)
    Deployment.objects.filter(pk=row.pk).update(started_at=timezone.now())
    found = review(world, row)
    assert (found.way_back, found.last) == (before.release, failed), f"{later} came afterwards"


def test_the_seal_is_compared_while_that_decides_something(world: World) -> None:
    row = world.request()
    Environment.objects.filter(name="production").update(configuration={"dice.json": {"sides": 7}})
    assert review(world, row).broken
    Deployment.objects.filter(pk=row.pk).update(status=Status.FAILED, finished_at=timezone.now())
    assert review(world, row).broken == []


def test_approvals_are_counted_and_shown(world: World) -> None:
    Environment.objects.filter(name="production").update(approvals_required=2)
    row = world.request()
    approve(actor=world.people["approver"], deployment=row, comment="looks good")
    found = review(world, row)
    assert (found.given, found.needed) == (1, 2)
    assert [(each.actor, each.comment) for each in found.approvals] == [("approver", "looks good")]


def test_of_each_secret_it_says_what_the_server_has(world: World) -> None:
    row = world.request()
    targets = row.snapshot["targets"]
    targets[0]["secrets"] = {"new": 1, "kept": 2, "changed": 3}
    row.save()
    Server.objects.filter(environment=world.production).update(secret_versions={"kept": 2, "changed": 1, "other": 4})
    assert review(world, row).servers[0].secrets == [
        "changed: version 1 → 3",
        "kept: version 2, there already",
        "new: version 1, not there yet",
    ]


def test_servers_that_get_the_same_are_shown_once(world: World) -> None:
    row = world.request()
    for number, base in ((2, None), (3, world.releases[0])):
        server = Server.objects.create(
            name=f"production-{number}", environment=world.production, host=f"{number}.invalid", roles=["bot"]
        )
        row.targets.create(server=server, order=number, base_release=base)
    found = review(world, row).servers
    assert [(each.name, each.canary, each.same_as, each.base) for each in found] == [
        ("production-1", True, "", ""),
        ("production-2", False, "production-1", ""),
        ("production-3", False, "", world.releases[0].identifier),
    ]
    assert found[0].changes == found[1].changes != found[2].changes


def test_a_release_that_cannot_be_read_is_told_in_place_of_its_files(world: World) -> None:
    row = world.request()
    Path(row.release.artifact.path).unlink()
    found = review(world, row)
    assert found.unreadable
    assert [(each.name, each.roles) for each in found.servers] == [("production-1", ["bot"])]


def test_a_rollback_says_what_hooks_leave_and_brings_no_news(world: World) -> None:
    old, new = world.releases
    ended(world, old, Status.SUCCEEDED, 9)
    row = ended(world, new, Status.SUCCEEDED, 8)
    hook = {"moment": "before_activate", "role": "bot", "command": ["migrate"]}
    row.refresh_from_db()
    row.snapshot["plan"]["hooks"] = [hook]
    row.save()
    rollback = request_rollback(actor=world.people["operator"], environment=world.production, reason="it hangs")
    found = review(world, rollback)
    assert (found.deployment.kind, found.change_log) == (Kind.ROLLBACK, [])
    assert found.left_behind[0] == f"{new} had `migrate` run (before_activate)."
    assert found.way_back == new


def test_it_takes_the_right_to_look(world: World) -> None:
    with pytest.raises(NotAllowed):
        review_of(actor=world.people["none"], deployment=world.request())

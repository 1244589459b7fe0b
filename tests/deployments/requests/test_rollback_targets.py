"""Back is to what ran here with consent, and to nothing else: asked for, in a drill, while it bakes, at the claim."""

from collections.abc import Callable

import pytest
from django.urls import reverse
from django.utils import timezone

from deployments.core.actors import system_actor
from deployments.drills.drills import drill_rollback, hold_scheduled
from deployments.environments.locks import lock_environment
from deployments.execution.claims import claim
from deployments.lifecycle import Kind, Status
from deployments.models import Approval, AuditEvent, Deployment, Release
from deployments.requests.all_rollback_targets import all_rollback_targets
from deployments.requests.approvals import approve, reject, review_break_glass
from deployments.requests.bake import report_alert
from deployments.requests.requests import request_deployment
from deployments.requests.rollback_targets import releases_to_go_back_to, rollback_target
from deployments.requests.rollbacks import request_rollback
from deployments.snapshot import seal
from engine.errors import InvalidRequest, NotAllowed
from tests.deployments.world import World


def _never(world: World, release: Release) -> None:
    """It was only uploaded."""


def _waiting(world: World, release: Release) -> None:
    request_deployment(actor=world.people["colleague"], release=release, environment=world.production)


def _rejected(world: World, release: Release) -> None:
    row = request_deployment(actor=world.people["colleague"], release=release, environment=world.production)
    reject(actor=world.people["approver"], deployment=row, comment="no")


def _elsewhere(world: World, release: Release) -> None:
    world.succeeded(release, "test", approved_by=())


def _failed(world: World, release: Release) -> None:
    row = world.succeeded(release)
    Deployment.objects.filter(pk=row.pk).update(status=Status.FAILED)


def _too_few(world: World, release: Release) -> None:
    world.succeeded(release, approved_by=())


def _by_the_requester(world: World, release: Release) -> None:
    world.succeeded(release, approved_by=("somebody",))


def _break_glass(world: World, release: Release) -> None:
    world.succeeded(release, approved_by=(), break_glass=True)


def _by_hand(world: World, release: Release) -> None:
    """A success that somebody wrote into the tables, approval and all."""
    row = world.succeeded(release)
    row.pk = None
    row.save()
    Deployment.objects.filter(release=release).exclude(pk=row.pk).update(status=Status.FAILED)
    Approval.objects.create(deployment=row, actor="anna", decision=Approval.Decision.APPROVED, seal=row.seal)


def _success_by_hand(world: World, release: Release) -> None:
    """Asked for and agreed to, and never carried out: only its status was written."""
    row = request_deployment(actor=world.people["colleague"], release=release, environment=world.production)
    approve(actor=world.people["approver"], deployment=row)
    now = timezone.now()
    Deployment.objects.filter(pk=row.pk).update(status=Status.SUCCEEDED, started_at=now, finished_at=now)


def _approval_by_hand(world: World, release: Release) -> None:
    row = world.succeeded(release, approved_by=())
    Approval.objects.create(deployment=row, actor="anna", decision=Approval.Decision.APPROVED, seal=row.seal)


def _another_snapshot(world: World, release: Release) -> None:
    """What was sealed is exchanged, and sealed anew."""
    row = world.succeeded(release)
    row.snapshot["configuration"]["files"] = {}
    row.seal = seal(row.snapshot)
    row.save()
    Approval.objects.update(seal=row.seal)


def _another_artifact(world: World, release: Release) -> None:
    """The same identifier, uploaded again with another content."""
    world.succeeded(release)
    Release.objects.filter(pk=release.pk).update(artifact_digest="0" * 64)


def _another_requester(world: World, release: Release) -> None:
    """Who asked is exchanged, so that whoever approved becomes somebody else."""
    row = world.succeeded(release, requested_by="anna", approved_by=("anna",))
    Deployment.objects.filter(pk=row.pk).update(requested_by="otto")


def _imported(world: World, release: Release) -> None:
    row = world.succeeded(release)
    row.snapshot["imported"] = {"number": "7"}
    row.save()


NO_WAYS: dict[str, tuple[Callable[[World, Release], None], str]] = {
    "never asked for": (_never, "never succeeded"),
    "waiting": (_waiting, "never succeeded"),
    "rejected": (_rejected, "never succeeded"),
    "a success elsewhere": (_elsewhere, "never succeeded"),
    "a failure": (_failed, "never succeeded"),
    "too few approvals": (_too_few, "0 of the 1 approvals"),
    "approved by its requester": (_by_the_requester, "0 of the 1 approvals"),
    "break-glass nobody reviewed": (_break_glass, "nobody has reviewed"),
    "a row written by hand": (_by_hand, "audit trail"),
    "a success written by hand": (_success_by_hand, "audit trail"),
    "an approval written by hand": (_approval_by_hand, "0 of the 1 approvals"),
    "another snapshot": (_another_snapshot, "audit trail"),
    "another artifact": (_another_artifact, "artifact"),
    "another requester": (_another_requester, "audit trail"),
    "made without this portal": (_imported, "without this portal"),
}


@pytest.fixture
def settled(world: World) -> World:
    """Production runs the first release with consent; the second is to be tried."""
    world.succeeded(world.releases[0])
    return world


@pytest.mark.parametrize("what", NO_WAYS)
def test_what_had_no_consent_here_is_no_way_back(what: str, settled: World) -> None:
    prepare, sentence = NO_WAYS[what]
    prepare(settled, settled.releases[1])
    with pytest.raises(InvalidRequest, match=sentence) as refused:
        request_rollback(
            actor=settled.people["operator"], environment=settled.production, reason="x", to=settled.releases[1]
        )
    assert refused.value.reason == "no_way_back"
    assert not Deployment.objects.filter(kind=Kind.ROLLBACK).exists()
    found = list(releases_to_go_back_to(settled.production))
    assert settled.releases[1] not in found
    assert all_rollback_targets([settled.production], 5) == {settled.production.pk: [each.pk for each in found]}


def test_of_many_environments_the_same_is_found_as_of_each(settled: World) -> None:
    old, new = settled.releases
    settled.succeeded(new)
    settled.succeeded(old, approved_by=())  # the newest success of it is no consent, the one before is
    settled.succeeded(new)
    settled.succeeded(old, "test", approved_by=())
    homes = [settled.production, settled.test]
    assert all_rollback_targets(homes, 5) == {settled.production.pk: [old.pk], settled.test.pk: []}
    assert all_rollback_targets(homes, 5) == {
        home.pk: [each.pk for each in releases_to_go_back_to(home)] for home in homes
    }


@pytest.mark.parametrize("what", NO_WAYS)
def test_a_row_that_says_rollback_does_not_begin(what: str, settled: World) -> None:
    NO_WAYS[what][0](settled, settled.releases[1])
    Deployment.objects.filter(status=Status.AWAITING_APPROVAL).delete()
    row = settled.succeeded(settled.releases[0])
    row.pk, row.kind, row.status, row.release = None, Kind.ROLLBACK, Status.QUEUED, settled.releases[1]
    row.finished_at = None
    row.save()
    assert claim(row.pk) is None
    row.refresh_from_db()
    assert row.status == Status.SUPERSEDED
    assert row.sentence


@pytest.mark.parametrize("what", NO_WAYS)
def test_the_bake_goes_nowhere_without_consent_and_pauses(what: str, settled: World) -> None:
    """The release before the one that bakes had none, and there is no other."""
    NO_WAYS[what][0](settled, settled.releases[1])
    Deployment.objects.filter(environment=settled.production, status=Status.AWAITING_APPROVAL).delete()
    now = timezone.now()
    Deployment.objects.filter(release=settled.releases[0]).update(finished_at=now, bake_until=now.replace(year=2999))
    caused = report_alert(
        actor=system_actor("alertmanager"),
        environment=settled.production,
        name="BotDown",
        severity="critical",
        began_at=timezone.now(),
        summary="x",
    )
    assert caused is None
    assert settled.production.locked


@pytest.mark.parametrize("what", NO_WAYS)
def test_a_drill_needs_consent_in_both_directions(what: str, settled: World) -> None:
    NO_WAYS[what][0](settled, settled.releases[1])
    Deployment.objects.filter(status=Status.AWAITING_APPROVAL).delete()
    with pytest.raises(InvalidRequest):
        drill_rollback(actor=settled.people["operator"], environment=settled.production, carry_out=lambda row: row)
    assert not Deployment.objects.filter(kind=Kind.ROLLBACK).exists()


def test_break_glass_is_a_way_back_once_somebody_else_reviewed_it(settled: World) -> None:
    row = settled.succeeded(settled.releases[1], requested_by="colleague", approved_by=(), break_glass=True)
    settled.succeeded(settled.releases[0])
    assert rollback_target(settled.production) is None
    review_break_glass(actor=settled.people["approver"], deployment=row)
    assert rollback_target(settled.production) == settled.releases[1]


def test_a_locked_environment_lets_back_and_only_back(settled: World) -> None:
    settled.succeeded(settled.releases[1])
    lock_environment(actor=settled.people["operator"], environment=settled.production, reason="exams")
    with pytest.raises(NotAllowed, match="exams"):
        drill_rollback(actor=settled.people["operator"], environment=settled.production, carry_out=lambda row: row)
    rollback = request_rollback(actor=settled.people["operator"], environment=settled.production, reason="x")
    assert claim(rollback.pk) is not None


def test_what_was_queued_before_the_lock_does_not_begin(settled: World) -> None:
    row = settled.request()
    approve(actor=settled.people["approver"], deployment=row)
    lock_environment(actor=settled.people["operator"], environment=settled.production, reason="exams")
    assert claim(row.pk) is None
    row.refresh_from_db()
    assert (row.status, "exams" in row.sentence) == (Status.SUPERSEDED, True)


def test_an_approval_written_by_hand_starts_nothing(settled: World) -> None:
    row = settled.request()
    Approval.objects.create(deployment=row, actor="approver", decision=Approval.Decision.APPROVED, seal=row.seal)
    Deployment.objects.filter(pk=row.pk).update(status=Status.QUEUED)
    assert claim(row.pk) is None
    row.refresh_from_db()
    assert "0 of the 1 approvals" in row.sentence


@pytest.mark.parametrize("change", ["break_glass", "requested_by", "snapshot", "kind"])
def test_a_request_changed_by_hand_starts_nothing(change: str, settled: World) -> None:
    row = settled.request()
    if change != "break_glass" and change != "kind":
        approve(actor=settled.people["approver"], deployment=row)
        row.refresh_from_db()
    row.status = Status.QUEUED
    if change == "break_glass":
        row.break_glass = True
    elif change == "kind":
        row.kind = Kind.ROLLBACK
    elif change == "requested_by":
        row.requested_by = "operator"
    else:
        row.snapshot["policy"]["approvals_required"] = 0
        row.seal = seal(row.snapshot)
        Approval.objects.update(seal=row.seal)
    row.save()
    assert claim(row.pk) is None
    row.refresh_from_db()
    assert row.status == Status.SUPERSEDED


def test_the_page_of_an_earlier_success_offers_no_way_back_without_consent(settled: World) -> None:
    row = settled.succeeded(settled.releases[1], approved_by=(), break_glass=True)
    settled.succeeded(settled.releases[0])
    client = settled.client("operator")
    page = client.get(reverse("deployment", args=[row.pk])).content.decode()
    assert "roll-back" not in page
    address = reverse("admin:deployments_environment_roll_back", args=[settled.production.pk])
    assert f'<option value="{settled.releases[1].pk}"' not in client.get(address).content.decode()


def test_a_scheduled_drill_is_not_held_without_a_way_forward_again(settled: World) -> None:
    settled.succeeded(settled.releases[0], "test", approved_by=())
    row = settled.succeeded(settled.releases[1], "test", approved_by=())
    row.snapshot["imported"] = {"number": "7"}
    row.save()
    assert hold_scheduled(actor=system_actor("schedule")) is None


def test_a_rollback_that_waited_is_still_known_to_the_trail(settled: World) -> None:
    settled.succeeded(settled.releases[1])
    row = settled.request()
    approve(actor=settled.people["approver"], deployment=row)
    Deployment.objects.filter(pk=row.pk).update(status=Status.RUNNING, cancel_requested_by="")
    rollback = request_rollback(actor=settled.people["operator"], environment=settled.production, reason="it hangs")
    settled.servers["production"].refresh_from_db()
    Deployment.objects.filter(pk=row.pk).update(status=Status.QUEUED)
    lock_environment(actor=settled.people["operator"], environment=settled.production, reason="exams")
    assert claim(row.pk) is None
    rollback.refresh_from_db()
    assert rollback.status == Status.QUEUED
    assert AuditEvent.objects.filter(name="rollback.queued").exists()
    assert claim(rollback.pk) is not None

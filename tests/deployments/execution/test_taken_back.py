"""What is said of a release that was taken back, and of the deployment that had brought it; when it is good again."""

from typing import Any

import pytest
from django.utils import timezone

from deployments.execution.claims import Claimed, claim
from deployments.lifecycle import Kind, Status, TargetStatus
from deployments.models import AuditEvent, Deployment, Environment, Release, Target
from deployments.requests.rollbacks import request_rollback
from tests.deployments.execution.test_finish import end, row
from tests.deployments.world import World


@pytest.fixture
def condemned(world: World) -> Claimed:
    """The second release, taken back in test and again in a worker's hands there, with a reason; both are condemned."""
    for environment in ("test", "production"):
        for release in world.releases:
            world.succeeded(release, environment)
    taken_back(world, world.test)
    Release.objects.filter(pk=world.releases[0].pk).update(
        quarantined_at=timezone.now(), quarantined_by="olga", quarantine_reason="it is old"
    )
    found = claim(world.request(environment="test", reason="mended outside").pk)
    assert found is not None
    found.deployment.targets.update(status=TargetStatus.SUCCEEDED)
    return found


def taken_back(world: World, home: Environment, **more: Any) -> Deployment:
    """A rollback that took the second release back."""
    return Deployment.objects.create(
        environment=home,
        release=world.releases[0],
        kind=Kind.ROLLBACK,
        status=Status.SUCCEEDED,
        rollback_of=Deployment.objects.filter(environment=home, release=world.releases[1]).latest("pk"),
        requested_by="operator",
        finished_at=timezone.now(),
        **more,
    )


def is_condemned(release: Release) -> tuple[bool, str, str]:
    now = Release.objects.get(pk=release.pk)
    return now.quarantined, now.quarantined_by, now.quarantine_reason


@pytest.mark.parametrize("elsewhere", ["nowhere", "in an environment that is gone", "as a rehearsal", "and made good"])
def test_what_is_good_again_where_it_was_taken_back_is_condemned_no_more(
    world: World, condemned: Claimed, elsewhere: str
) -> None:
    Release.objects.filter(pk=world.releases[1].pk).update(
        quarantined_at=timezone.now(), quarantined_by="operator", quarantine_reason="it hangs"
    )
    condemned.deployment.release.refresh_from_db()
    if elsewhere != "nowhere":
        taken_back(world, world.production, drill=elsewhere == "as a rehearsal")
    if elsewhere == "in an environment that is gone":
        Environment.objects.filter(name="production").update(retired_at=timezone.now())
    if elsewhere == "and made good":
        world.succeeded(world.releases[1], "production")
    assert end(condemned)
    assert is_condemned(world.releases[1]) == (False, "", "")
    assert is_condemned(world.releases[0]) == (True, "olga", "it is old"), "another one stays so"


@pytest.mark.parametrize("since", ["nothing", "another release", "made good elsewhere", "only gone back to"])
def test_it_stays_condemned_where_nobody_has_made_it_good_since(world: World, condemned: Claimed, since: str) -> None:
    Release.objects.filter(pk=world.releases[1].pk).update(
        quarantined_at=timezone.now(), quarantined_by="operator", quarantine_reason="it hangs"
    )
    condemned.deployment.release.refresh_from_db()
    taken_back(world, world.production)
    if since == "another release":
        world.succeeded(world.releases[0], "production")
    if since == "only gone back to":
        back = world.succeeded(world.releases[1], "production")
        Deployment.objects.filter(pk=back.pk).update(kind=Kind.ROLLBACK)
    if since == "made good elsewhere":
        third = Environment.objects.create(name="staging")
        Deployment.objects.filter(pk=world.succeeded(world.releases[1], "production").pk).update(environment=third)
    assert end(condemned)
    assert is_condemned(world.releases[1]) == (True, "operator", "it hangs")


def test_a_rollback_rewrites_the_sentence_of_what_it_took_back_and_of_nothing_else(world: World) -> None:
    for environment in ("test", "production"):
        for release in world.releases:
            world.succeeded(release, environment)
    Deployment.objects.update(sentence="It runs.")
    Target.objects.update(status=TargetStatus.SUCCEEDED)
    bad = Deployment.objects.get(environment=world.test, release=world.releases[1])
    found = claim(request_rollback(actor=world.people["operator"], environment=world.test, reason="it hangs").pk)
    assert found is not None
    found.deployment.targets.update(status=TargetStatus.SUCCEEDED)
    assert end(found)
    said = dict(Deployment.objects.values_list("pk", "sentence"))
    assert said.pop(bad.pk) == (
        f"{bad.release} was verified on test-1, and rollback {found.deployment.pk} has taken it back."
    )
    assert set(said.values()) == {"It runs."}


def test_a_rollback_condemns_what_it_took_back_in_its_own_words_and_the_first_ones_stay(world: World) -> None:
    for environment in ("test", "production"):
        for release in world.releases:
            world.succeeded(release, environment)
    said: list[tuple[object, ...]] = []
    for who, home in (("operator", world.test), ("colleague", world.production)):
        asked = request_rollback(actor=world.people[who], environment=home, reason=f"{who}: it hangs")
        found = claim(asked.pk)
        assert found is not None
        found.deployment.targets.update(status=TargetStatus.SUCCEEDED)
        assert end(found)
        assert (row(found).kind, row(found).bake_until) == (Kind.ROLLBACK, None)
        assert AuditEvent.objects.filter(name="rollback.succeeded", environment=home.name).count() == 1
        bad = Release.objects.get(pk=world.releases[1].pk)
        said.append((bad.quarantined_by, bad.quarantine_reason, bad.quarantined_at))
    assert said[0][:2] == ("operator", "operator: it hangs")
    assert said[1] == said[0]
    assert not Release.objects.get(pk=world.releases[0].pk).quarantined

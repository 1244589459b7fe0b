"""Which release `deploy E` takes when nobody names one."""

import re

import pytest
from django.utils import timezone

from deployments.environments.registry import add_environment, order_environments
from deployments.lifecycle import Status
from deployments.models import Deployment, Environment, Release
from deployments.requests.choices import (
    choose_release,
    environment_before,
    failed_here,
    passed_over,
    promoted_release,
)
from engine.errors import InvalidRequest
from tests.deployments.world import World

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")


def ended(environment: Environment, release: Release, status: Status) -> Deployment:
    return Deployment.objects.create(
        environment=environment,
        release=release,
        status=status,
        requested_by="somebody",
        seal="0" * 64,
        started_at=timezone.now(),
        finished_at=timezone.now(),
    )


@pytest.mark.parametrize("status", [Status.FAILED, Status.ROLLED_BACK, Status.INTERRUPTED])
def test_what_ended_badly_is_not_tried_again_by_itself(world: World, status: Status) -> None:
    old, new = world.releases
    assert choose_release(world.test) == new
    failure = ended(world.test, new, status)
    assert choose_release(world.test) == old
    ended(world.test, old, Status.SUCCEEDED)
    with pytest.raises(InvalidRequest, match=f"deployment {failure.pk}") as refused:
        choose_release(world.test)  # the old one runs: to deploy it again is not what anybody meant
    assert ("--again" in refused.value.hint, refused.value.reason) == (True, "failed_here")
    assert choose_release(world.test, again=True) == new
    ended(world.test, new, Status.SUCCEEDED)
    assert failed_here(world.test) == {}
    assert choose_release(world.test) == new


def test_why_a_newer_one_is_passed_over_is_said(world: World) -> None:
    old, new = world.releases
    assert passed_over(world.test, new) == []
    failure = ended(world.test, new, Status.ROLLED_BACK)
    assert passed_over(world.test, old) == [f"{new} is passed over: it ended badly here (deployment {failure.pk})."]
    assert passed_over(world.production, old) == [f"{new} is passed over: it is not among what succeeded on test."]
    Release.objects.filter(pk=new.pk).update(quarantined_at=timezone.now(), quarantine_reason="it crashed")
    said = [f"{new} is passed over: it is in quarantine (it crashed)."]
    assert passed_over(world.test, old) == passed_over(world.production, old) == said


@pytest.mark.parametrize("status", [Status.CANCELLED, Status.REJECTED, Status.EXPIRED, Status.SUPERSEDED])
def test_what_was_never_tried_to_its_end_says_nothing(world: World, status: Status) -> None:
    ended(world.test, world.releases[1], status)
    assert choose_release(world.test) == world.releases[1]


def test_what_succeeded_before_it_is_the_default_for_the_next(world: World) -> None:
    old, new = world.releases
    assert choose_release(world.production) == new  # nobody has deployed to test yet
    ended(world.test, new, Status.ROLLED_BACK)
    with pytest.raises(InvalidRequest, match="No release has succeeded on test") as refused:
        choose_release(world.production)
    assert refused.value.reason == "nothing_to_promote"
    ended(world.test, old, Status.SUCCEEDED)
    assert choose_release(world.production) == old
    Release.objects.filter(pk=old.pk).update(quarantined_at=timezone.now())
    with pytest.raises(InvalidRequest):
        choose_release(world.production)


def test_only_an_environment_of_the_same_application_comes_before(world: World) -> None:
    Environment.objects.update(application="dice-bot")
    administrator = world.people["administrator"]
    other = add_environment(actor=administrator, application="other", name="first", approvals=0)
    staging = add_environment(actor=administrator, application="dice-bot", name="staging")
    ended(other, world.releases[0], Status.SUCCEEDED)
    ended(staging, world.releases[0], Status.SUCCEEDED)
    assert environment_before(world.production) is None
    order_environments(actor=administrator, environments=[world.test, staging, world.production])
    assert environment_before(world.production) == staging
    assert choose_release(world.production) == world.releases[0]
    assert environment_before(other) is None


def test_what_is_live_is_promoted(world: World) -> None:
    with pytest.raises(InvalidRequest, match="Nothing is live on test") as refused:
        promoted_release(world.test, world.production)
    assert refused.value.reason == "nothing_to_promote"
    ended(world.test, world.releases[0], Status.SUCCEEDED)
    assert promoted_release(world.test, world.production) == world.releases[0]
    failure = ended(world.production, world.releases[0], Status.FAILED)
    with pytest.raises(InvalidRequest, match=f"deployment {failure.pk}") as refused:
        promoted_release(world.test, world.production)
    assert refused.value.reason == "failed_here"
    assert promoted_release(world.test, world.production, again=True) == world.releases[0]
    other = add_environment(actor=world.people["administrator"], application="other", name="first")
    with pytest.raises(InvalidRequest, match="no release of dice-bot"):
        promoted_release(world.test, other)


def test_command_api_and_page_choose_alike(world: World) -> None:
    old, new = world.releases
    ended(world.test, old, Status.SUCCEEDED)
    code, said = world.command("operator", "promote", "test", "production", "--no-wait")
    assert code == 3, said
    assert Deployment.objects.order_by("-pk")[0].release == old
    code, said = world.command("operator", "deploy", "production", "--no-wait")
    assert (code, Deployment.objects.order_by("-pk")[0].release) == (3, old), said
    for body in ({"environment": "production"}, {"environment": "production", "promote_from": "test"}):
        answer = world.api("operator", "post", "/deployments", body)
        assert (answer.status_code, answer.json()["release"]) == (201, old.identifier)
    both = {"environment": "production", "promote_from": "test", "release": new.identifier}
    assert world.api("operator", "post", "/deployments", both).status_code == 422
    page = world.client("operator").get(f"/admin/deployments/environment/{world.production.pk}/request/")
    chosen = re.findall(r'name="release" value="(\d+)"[^>]* checked', page.content.decode())
    assert chosen == [str(old.pk)]

"""Which command comes next for a server: which firewalls have to be opened, what is missing, what is not deployed."""

from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from deployments.audit import trail
from deployments.core.actors import shell_actor
from deployments.models import Server
from deployments.servers.next_steps import after_enrolling, after_provisioning, to_provision_again
from tests.deployments.world import World

LONG_AGO = timezone.now() - timedelta(days=1)


@pytest.fixture
def watcher(world: World) -> Server:
    """A server for monitoring, enrolled after both bots were made ready."""
    Server.objects.update(provisioned_at=LONG_AGO, state=Server.State.PROVISIONED)
    bot = world.servers["production"]
    row = Server.objects.create(
        name="ops-1", environment=bot.environment, host="ops.invalid", roles=["monitoring"],
        host_key=bot.host_key, fingerprint=bot.fingerprint,
    )  # fmt: skip
    enrolled(row, before={})
    return row


def enrolled(row: Server, *, before: dict[str, object]) -> None:
    """The event that enrolling leaves."""
    with transaction.atomic():
        trail.record(
            actor=shell_actor("tester"),
            name="server.changed" if before else "server.enrolled",
            subject=f"server:{row.name}",
            environment=row.environment,
            data={"host": row.host, "roles": row.roles, "before": before},
        )


def names(rows: list[Server]) -> list[str]:
    return sorted(row.name for row in rows)


def test_bots_that_were_made_ready_before_monitoring_came_are_provisioned_again(watcher: Server) -> None:
    assert names(to_provision_again(watcher)) == ["production-1", "test-1"]
    said = after_enrolling(watcher)
    assert "their firewalls let ops-1 in only then" in said
    assert "manage.py provision production-1" in said
    assert "manage.py provision test-1" in said


def test_one_that_was_provisioned_since_is_not_named(watcher: Server) -> None:
    Server.objects.filter(name="test-1").update(provisioned_at=timezone.now() + timedelta(seconds=1))
    assert names(to_provision_again(watcher)) == ["production-1"]
    assert "its firewall lets ops-1 in only then" in after_enrolling(watcher)


@pytest.mark.parametrize("other", ["a bot", "nothing is provisioned", "only a new host key", "a second role"])
def test_nothing_has_to_be_done_twice(other: str, watcher: Server) -> None:
    if other == "a bot":
        Server.objects.filter(pk=watcher.pk).update(roles=["bot"])
    if other == "nothing is provisioned":
        Server.objects.update(state=Server.State.ENROLLED)
    if other in ("only a new host key", "a second role"):
        Server.objects.exclude(pk=watcher.pk).update(provisioned_at=timezone.now() + timedelta(seconds=1))
        before: dict[str, object] = {"host": watcher.host, "roles": ["monitoring"]}
        enrolled(watcher, before=before)
    assert after_enrolling(Server.objects.get(pk=watcher.pk)) == ""


@pytest.mark.parametrize(
    "before", [{"host": "elsewhere.invalid", "roles": ["monitoring"]}, {"host": "ops.invalid", "roles": ["bot"]}]
)
def test_another_address_or_the_role_itself_counts_anew(before: dict[str, object], watcher: Server) -> None:
    Server.objects.exclude(pk=watcher.pk).update(provisioned_at=timezone.now())
    assert to_provision_again(watcher) == []
    enrolled(watcher, before=before)
    assert names(to_provision_again(watcher)) == ["production-1", "test-1"]


def test_after_provisioning_what_is_missing_comes_first_and_what_is_deployed_is_verified(world: World) -> None:
    server, release = world.servers["test"], world.releases[0]
    Server.objects.filter(pk=server.pk).update(current_release=None)
    assert after_provisioning(Server.objects.get(pk=server.pk), release) == "Next: manage.py deploy test."
    Server.objects.filter(pk=server.pk).update(current_release=release)
    assert after_provisioning(Server.objects.get(pk=server.pk), release) == "Next: manage.py verify test."


def test_after_provisioning_monitoring_the_firewalls_of_bots_come_first(world: World, watcher: Server) -> None:
    said = after_provisioning(watcher, world.releases[0])
    assert said.startswith("Next: manage.py provision")
    assert said.endswith(" then manage.py deploy production.")

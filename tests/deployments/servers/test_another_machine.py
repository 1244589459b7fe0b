"""A record that has come to mean another machine claims nothing of what was found on the former one."""

import json

import paramiko
import pytest
from django.utils import timezone

from dashboard.readiness.rollback_targets import of_applications
from deployments.models import Environment, Server
from deployments.servers.enrolment import enrol_server
from deployments.servers.inspection import Extent, store_findings
from tests.deployments.admin.test_enrolment import sshd
from tests.deployments.admin.test_pages import text_of
from tests.deployments.world import World

OF_THE_RELEASE = {"identity": ["a"], "health": {"port": 8080}}
SINCE = "Nobody has looked since its address and host key were confirmed"


@pytest.fixture
def looked_at(world: World) -> Server:
    """Production's server, as an hourly look left it: as recorded, and with a way back."""
    world.succeeded(world.releases[0])
    Server.objects.filter(pk=world.servers["test"].pk).update(state=Server.State.RETIRED)
    Server.objects.filter(pk=world.servers["production"].pk).update(
        state=Server.State.PROVISIONED,
        drift={"differences": [], "things": 40},
        readiness={"ready": True, "target": "x", "sentence": "It lies there whole.", "seconds": 3},
        facts={"os": "Debian 12", **OF_THE_RELEASE},
        inspected_at=timezone.now(),
    )
    return Server.objects.get(pk=world.servers["production"].pk)


def enrol(world: World, server: Server, port: int, fingerprint: str) -> Server:
    enrol_server(
        actor=world.people["colleague"],
        name=server.name,
        environment=Environment.objects.get(pk=server.environment_id),
        host="127.0.0.1",
        port=port,
        user=server.user,
        roles=server.roles,
        fingerprint=fingerprint,
        confirm=lambda *_: False,
    )
    return Server.objects.get(pk=server.pk)


def findings(server: Server) -> tuple[object, ...]:
    return server.drift, server.readiness, server.facts, server.inspected_at


def test_nothing_is_claimed_of_a_machine_that_nobody_has_looked_at(world: World, looked_at: Server) -> None:
    page = f"/admin/deployments/server/{looked_at.pk}/change/"
    before = text_of(world.client("viewer").get(page).content.decode())
    assert "It is as recorded" in before
    assert "Rollback ready" in before
    with sshd(paramiko.ECDSAKey.generate()) as (port, key):
        server = enrol(world, looked_at, port, key.fingerprint)
    assert findings(server) == ({}, {}, OF_THE_RELEASE, None)
    after = text_of(world.client("viewer").get(page).content.decode())
    assert SINCE in after
    for claim in ("none, ", "It is as recorded", "Rollback ready", "Debian 12"):
        assert claim not in after, claim
    said = world.api("viewer", "get", f"/servers/{server.name}").json()
    assert (said["rollback_ready"], said["inspected_at"]) == (None, None)
    application = server.environment.application
    known = of_applications(timezone.now(), [application])[application]
    assert known.missing == f"a look at what lies on {server.name}"


def test_the_command_says_that_nobody_has_looked(world: World, looked_at: Server) -> None:
    with sshd(paramiko.ECDSAKey.generate()) as (port, key):
        where = ("--host", "127.0.0.1", "--port", port, "--user", looked_at.user, "--fingerprint", key.fingerprint)
        code, said = world.command("colleague", "enroll", looked_at.name, "--environment", "production", *where)
    assert (code, json.loads(said)["looked_at"]) == (0, None)


def test_what_was_found_stays_known_of_the_same_machine(world: World, looked_at: Server) -> None:
    with sshd(paramiko.ECDSAKey.generate()) as (port, key):
        Server.objects.filter(pk=looked_at.pk).update(
            host="127.0.0.1", port=port, host_key=str(key), fingerprint=key.fingerprint
        )
        looked_at.roles = ["bot", "monitoring"]
        server = enrol(world, looked_at, port, key.fingerprint)
    assert server.roles == ["bot", "monitoring"]
    assert findings(server) == findings(looked_at)


def test_another_host_key_counts_for_what_else_is_on_the_machine(world: World, looked_at: Server) -> None:
    Environment.objects.filter(pk=looked_at.environment_id).update(application="dice-bot")
    home = Environment.objects.create(name="live", application="poll-bot", order=9)
    with sshd(paramiko.ECDSAKey.generate()) as (port, key):
        place = {"host": "127.0.0.1", "port": port}
        Server.objects.filter(pk=looked_at.pk).update(**place)
        found = {"readiness": looked_at.readiness, "inspected_at": timezone.now(), "state": Server.State.PROVISIONED}
        pinned = {"host_key": looked_at.host_key, "fingerprint": looked_at.fingerprint}
        beside = Server.objects.create(name="poll-1", environment=home, user="poll-deploy", **place, **pinned, **found)
        enrol(world, looked_at, port, key.fingerprint)
    beside.refresh_from_db()
    assert (beside.fingerprint, *findings(beside)) == (key.fingerprint, {}, {}, {}, None)


@pytest.mark.parametrize("change", [{"port": 2222}, {"jump": "ops@gate:22"}, {"host_key": "ssh-ed25519 AAAA"}])
def test_a_look_that_began_at_the_former_machine_is_not_stored(
    world: World, looked_at: Server, change: dict[str, object]
) -> None:
    Server.objects.filter(pk=looked_at.pk).update(drift={}, readiness={}, **change)
    assert not store_findings(world.people["operator"], looked_at, ["It differs."], {"ready": True}, Extent(40))
    assert Server.objects.get(pk=looked_at.pk).drift == {}

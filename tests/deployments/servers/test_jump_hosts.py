"""A server behind a jump host as people read it: on its page, on the approval's, and in what is refused for it."""

import pytest
from django.urls import reverse

from deployments.github.secrets import github_secret
from deployments.models import Server
from deployments.servers.provisioning import setup_for
from engine.errors import InvalidRequest
from engine.ssh.address import JumpHost
from engine.ssh.keys import HostKey
from tests.deployments.world import World
from tests.fixtures.records import HOST_KEY

WAY = "ops@gate.invalid:22"


@pytest.fixture
def behind(world: World) -> Server:
    """The server of production, which only `gate` reaches, and whose name means nothing here."""
    server = world.servers["production"]
    server.jump, server.jump_host_key = WAY, HOST_KEY
    server.save()
    return server


def test_the_way_is_on_the_servers_page_and_on_the_approvals(world: World, behind: Server) -> None:
    request = world.request()
    assert request.sealed.targets[0].jump == WAY
    reader = world.client("administrator")
    fingerprint = HostKey.parse(HOST_KEY).fingerprint.encode().replace(b"+", b"&#x2B;")
    server = reader.get(reverse("admin:deployments_server_change", args=[behind.pk])).content
    assert WAY.encode() in server
    assert fingerprint in server.replace(b"+", b"&#x2B;")
    assert WAY.encode() in reader.get(f"/deployments/{request.pk}/").content


def test_what_goes_past_the_way_is_refused_or_left_out(world: World, behind: Server) -> None:
    assert setup_for(behind, world.releases[1]).allowed == []
    with pytest.raises(InvalidRequest, match=f"is reached through {WAY}"):
        github_secret(actor=world.people["administrator"], environment=world.production, name="PRODUCTION_HOST")


def test_a_server_without_a_way_is_sealed_as_it_always_was(world: World) -> None:
    assert "jump" not in str(world.request().snapshot)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ops@gate", "ops@gate:22"),
        ("ops@gate:2222", "ops@gate:2222"),
        ("o.p-s@[2001:db8::1]:2222", "o.p-s@[2001:db8::1]:2222"),
        ("ops@[::1]", "ops@[::1]:22"),
    ],
)
def test_a_jump_host_is_an_account_and_an_address(text: str, said: str) -> None:
    assert str(JumpHost.parse(text)) == said
    assert JumpHost.parse(said) == JumpHost.parse(text)


@pytest.mark.parametrize(
    "text",
    ["", "gate", "ops@", "ops@gate:0", "ops@gate:65536", "ops@a b", "-o@gate", "a@b@c", "ops@::1", "ops@gate:22\n"],
)
def test_what_is_no_jump_host_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="is no jump host"):
        JumpHost.parse(text)

"""Whose units a server gets when nobody names a release: what is live, never just what was uploaded last."""

from collections.abc import Callable

from deployments.models import Environment, Release, Server
from deployments.servers.provisioning import release_to_provision
from tests.fixtures.records import MakeRelease


def live(server: Server, release: Release) -> None:
    server.current_release = release
    server.save()


def test_it_is_what_is_live_there_then_beside_it_then_elsewhere_then_the_newest(
    make_release: MakeRelease, ready_server: Callable[[Environment], Server]
) -> None:
    first, second = make_release("1.0.0"), make_release("1.1.0")
    Environment.objects.update(application=first.name)
    test, production = Environment.objects.get(name="test"), Environment.objects.get(name="production")
    server, other = ready_server(production), ready_server(test)
    make_release("9.9.9")  # uploaded last, consented to by nobody
    newest, why = release_to_provision(server)
    assert newest.version == "9.9.9"
    assert "newest" in why
    live(other, second)
    assert release_to_provision(server) == (
        second, f"which is live on {other.name}: nothing is live on {server.name} yet"
    )  # fmt: skip
    live(server, first)
    assert release_to_provision(server) == (first, "")

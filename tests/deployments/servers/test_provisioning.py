"""Whose units a server gets when nobody names a release: what is live, never just what was uploaded last."""

import socket
from collections.abc import Callable

import pytest

from deployments.models import Environment, Release, Server
from deployments.servers.provisioning import release_to_provision, setup_for
from engine.ssh.errors import HostUnreachable
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


def test_a_name_with_several_addresses_lets_in_every_one_by_which_this_machine_could_come(
    make_release: MakeRelease, ready_server: Callable[[Environment], Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the first is an IPv6 one, to which no way leads from here."""
    nowhere = (socket.AF_INET6, socket.SOCK_DGRAM, 17, "", ("fe80::1", 22, 0, 0))
    here = (socket.AF_INET, socket.SOCK_DGRAM, 17, "", ("127.0.0.1", 22))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [nowhere, here])
    release, server = make_release("1.0.0"), ready_server(Environment.objects.get(name="test"))
    assert setup_for(server, release).allowed == ["127.0.0.1"]
    watching = ready_server(Environment.objects.get(name="production"))
    watching.roles = ["portal"]
    watching.save()
    assert setup_for(server, release).allowed == ["127.0.0.1", "fe80::1"]


def test_a_name_without_an_address_is_named(
    make_release: MakeRelease, ready_server: Callable[[Environment], Server]
) -> None:
    release, server = make_release("1.0.0"), ready_server(Environment.objects.get(name="test"))
    with pytest.raises(HostUnreachable, match=r"test-1: test\.invalid has no address here"):
        setup_for(server, release)
    server.host = "127.0.0.1"
    watching = ready_server(Environment.objects.get(name="production"))
    watching.roles = ["monitoring"]
    watching.save()
    with pytest.raises(HostUnreachable, match=r"production-1: production\.invalid has no address here"):
        setup_for(server, release)

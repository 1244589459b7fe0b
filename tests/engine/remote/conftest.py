"""One provisioned host per test process; every test gets it as provisioning left it."""

from collections.abc import Iterator

import pytest

from tests.engine.remote.releases import Release, release
from tests.engine.remote.servers import Server
from tests.fixtures.hosts import HostsFactory


@pytest.fixture(scope="session")
def provisioned(lasting_hosts_factory: HostsFactory) -> Server:
    hosts = lasting_hosts_factory(1)
    server = Server(hosts, hosts.host(1))
    server.provision()
    return server


@pytest.fixture
def server(provisioned: Server) -> Iterator[Server]:
    """With power, an undisturbed cable, room on its disk, and an empty tree."""
    host = provisioned.host
    host.clear()
    host.link(True)
    host.power_on()
    host.wait_ready()
    provisioned.wipe()
    yield provisioned
    host.clear()
    host.link(True)


@pytest.fixture(scope="session")
def old() -> Release:
    return release("1.0")


@pytest.fixture(scope="session")
def new() -> Release:
    return release("2.0")


@pytest.fixture
def running(server: Server, old: Release) -> Server:
    """A server on which the old release runs, as deployment 1."""
    result = server.run(old, 1)
    assert result.status == "succeeded", result
    return server

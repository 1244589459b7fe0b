"""A server whose shell start files flood whoever comes: provisioning ends in one sentence, and works afterwards."""

import pytest

from engine.ssh.errors import Flooded
from sandbox.hosts import Host
from tests.fixtures.fleet import Fleet, make_ready, setup_for

pytestmark = pytest.mark.hosts

RECORDS = '{"kind":"log","seq":7,"step":"stage","text":"hello ' + "x" * 300 + '"}'


def start_file(machine: Host, line: str) -> None:
    machine.root(["sh", "-c", "cat > /root/.bashrc"], input=f"{line}\n".encode())


def test_provisioning_as_root_says_so(fleet: Fleet) -> None:
    machine, hosts = fleet.machines[0], fleet.provisioned.hosts
    start_file(machine, f"yes '{RECORDS}'")
    try:
        with pytest.raises(Flooded) as told:
            make_ready(hosts, machine, setup_for(hosts, fleet.provisioned.public_key))
        assert machine.address in str(told.value)
        assert "It began with: " in str(told.value)
    finally:
        start_file(machine, "true")
    make_ready(hosts, machine, setup_for(hosts, fleet.provisioned.public_key))

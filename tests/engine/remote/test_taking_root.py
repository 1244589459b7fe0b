"""From the deploying account to root, tried on a real host: nothing that somebody else put there is followed."""

from collections.abc import Iterator

import pytest

from engine.commands import decommissioning
from engine.commands.decommissioning import Removal
from engine.remote import provision
from engine.remote.errors import ProvisionFailed
from engine.ssh.keys import generate_key
from tests.engine.remote.releases import NAME, UNIT
from tests.engine.remote.servers import ROOT, Server

pytestmark = pytest.mark.hosts

OUTSIDE = "/srv/others"


@pytest.fixture
def attacked(server: Server) -> Iterator[Server]:
    """A server with something of other people's on it, made as it was afterwards."""
    server.shell(f"rm -rf {OUTSIDE}; mkdir -p {OUTSIDE}/data; echo precious > {OUTSIDE}/data/file; chmod 751 {OUTSIDE}")
    yield server
    server.shell(
        f"""chown root:root /etc {OUTSIDE}; chmod 755 /etc
        [ -e /home/rosey/x ] && rm -rf /home/rosey/.ssh && mv /home/rosey/x /home/rosey/.ssh
        for path in shared backups .deploy; do
            [ -e {ROOT}/$path.x ] && rm -rf {ROOT}/$path && mv {ROOT}/$path.x {ROOT}/$path
        done; rm -f {ROOT}/shared/config.x"""
    )
    server.provision()


def as_account(server: Server, name: str, script: str) -> None:
    done = server.host.root(["runuser", "-u", name, "--", "sh", "-ec", script], check=False)
    assert done.returncode == 0, done.stderr


def rights(server: Server, *paths: str) -> str:
    return server.shell(f"stat -c '%n %U:%G %a' {' '.join(paths)}")


def test_a_link_in_place_of_the_keys_directory_is_refused_by_name(attacked: Server) -> None:
    before = rights(attacked, "/etc", "/etc/passwd")
    as_account(attacked, "rosey", "cd; mv .ssh x; ln -s /etc .ssh")
    _, public = generate_key("another")
    with pytest.raises(ProvisionFailed, match=r"/home/rosey/\.ssh"):
        attacked.provision(public_keys=[attacked.public, public])
    assert rights(attacked, "/etc", "/etc/passwd") == before
    assert attacked.shell("ls /etc/authorized_keys") == ""


@pytest.mark.parametrize("directory", ["shared", "backups", ".deploy"])
def test_a_link_in_place_of_a_directory_of_the_tree_is_refused_by_name(attacked: Server, directory: str) -> None:
    attacked.shell(f"mkdir -p {OUTSIDE}/config {OUTSIDE}/secrets {OUTSIDE}/manifests")
    before = rights(attacked, OUTSIDE, f"{OUTSIDE}/*")
    as_account(attacked, "rosey", f"cd {ROOT}; mv {directory} {directory}.x; ln -s {OUTSIDE} {directory}")
    with pytest.raises(ProvisionFailed, match=f"{ROOT}/{directory}"):
        attacked.provision()
    assert rights(attacked, OUTSIDE, f"{OUTSIDE}/*") == before


def removal(server: Server, *, delete_data: bool) -> Removal:
    return Removal(name=NAME, roles=["bot"], units=[UNIT], public_keys=[server.public], delete_data=delete_data)


@pytest.mark.parametrize("delete_data", [False, True])
def test_a_link_in_the_tree_is_removed_and_not_what_it_leads_to(attacked: Server, delete_data: bool) -> None:
    as_account(attacked, "rosey", f"cd {ROOT}; mv shared shared.x; ln -s {OUTSIDE} shared; ln -s {OUTSIDE} releases/x")
    with attacked.bootstrap() as session:
        provision(session, decommissioning.operations(removal(attacked, delete_data=delete_data)), sudo=False)
    assert attacked.shell(f"cat {OUTSIDE}/data/file") == "precious"
    assert attacked.shell(f"ls -A {ROOT}") == ("" if delete_data else "backups")

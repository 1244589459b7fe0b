"""The pip that root keeps compiled on a server: environments are made with it, unless it is not just that."""

from collections.abc import Iterator

import pytest

from engine.commands import decommissioning
from engine.commands.agent import agent_digest
from engine.commands.decommissioning import Removal
from engine.host.agent.environments import kept_pip_path
from engine.remote import provision
from tests.engine.remote.releases import NAME, UNIT, plan, release, role
from tests.engine.remote.servers import ROOT, Server

pytestmark = pytest.mark.hosts

KEPT = kept_pip_path(NAME)
ASKED = (
    f"import importlib, sys; sys.path.append('{ROOT}/.deploy'); "
    f"print(importlib.import_module('agent-{agent_digest()}').pip_to_run('{NAME}'))"
)
UNFIT = {
    "gone": f"rm {KEPT}",
    "torn": f"truncate -s -100 {KEPT}",
    "of another Python": f"sed -i 's/cpython-3[0-9]* sha256/cpython-200 sha256/' {KEPT}",
    "somebody else's": f"chown rosey {KEPT}",
    "for others to write": f"chmod 666 {KEPT}",
    "a link": f"mv {KEPT} {KEPT}.real; ln -s {KEPT}.real {KEPT}",
}


@pytest.fixture
def kept(server: Server) -> Iterator[Server]:
    """A server that has it, and has it again afterwards."""
    assert server.shell(f"stat -c '%U:%G %a' {KEPT}") == "root:root 644"
    yield server
    server.shell(f"rm -f {KEPT} {KEPT}.real")
    server.provision()


def pip_to_run(server: Server) -> str:
    return server.shell(f'runuser -u rosey -- python3 -I -B -c "{ASKED}"')


def test_a_first_deployment_uses_it(kept: Server) -> None:
    kept.rehearse("stage", f"until pgrep -u rosey -f {KEPT}; do sleep 0.1; done")
    built = release("1.0", {"requirements.txt": b"# nothing\n"})
    result = kept.carry_out(plan(built, 1, roles=[role(lock="requirements.txt", env_digest="e" * 64)]), built)
    assert result.status == "succeeded", result


@pytest.mark.parametrize("case", UNFIT)
def test_what_is_not_just_that_is_not_used(kept: Server, case: str) -> None:
    assert pip_to_run(kept) == KEPT
    kept.shell(UNFIT[case])
    found = pip_to_run(kept)
    assert found.endswith(".whl"), found
    assert found != KEPT


def test_provisioning_makes_it_anew_when_it_is_of_another_pip(kept: Server) -> None:
    kept.shell(UNFIT["of another Python"])
    kept.provision()
    assert pip_to_run(kept) == KEPT


def test_it_goes_with_the_application(kept: Server) -> None:
    removal = Removal(name=NAME, roles=["bot"], units=[UNIT], public_keys=[])
    with kept.bootstrap() as session:
        provision(session, decommissioning.operations(removal), sudo=False)
    assert kept.shell(f"ls {KEPT}") == ""

"""Two records of one machine, by another account, address or port: what is done by one waits for the other."""

import pytest
from django_q.models import OrmQ

from deployments.environments.machines import known_as
from deployments.environments.registry import add_environment
from deployments.execution.claims import claim
from deployments.models import Environment, Operation, Server
from deployments.operations.carrying_out import begin, carry_out, end
from engine.errors import Conflict, EnvironmentBusy
from tests.deployments.operations.test_beside_deployments import DONE, ask, executions, here, queued
from tests.deployments.world import World


@pytest.fixture
def other(world: World) -> Server:
    """Another application's record of production's machine: another port and account, the same host key."""
    known = Server.objects.get(pk=world.servers["production"].pk)
    Server.objects.exclude(pk=known.pk).update(host_key="ssh-ed25519 AAAA")
    Environment.objects.update(application="dice-bot")
    home = add_environment(actor=world.people["administrator"], application="tea-bot", name="test", approvals=0)
    return Server.objects.create(
        name="tea-1",
        environment=home,
        host=known.host,
        port=2222,
        user="tea-bot-deploy",
        roles=["bot"],
        host_key=known.host_key,
        state=Server.State.PROVISIONED,
    )


def begun(server: Server) -> Operation:
    row = Operation.objects.create(server=server, kind=Operation.Kind.PROVISION, requested_by="administrator")
    taken = begin(row.pk)
    assert taken is not None
    return taken


def test_a_deployment_waits_while_its_machine_is_provisioned_by_another_name(world: World, other: Server) -> None:
    provisioning, row = begun(other), queued(world)
    assert claim(row.pk) is None
    assert row.log_lines.get().text == (
        f"It waits for the end of {provisioning}, which administrator asked for. "
        "tea-1 is the same machine as one of its servers."
    )
    end(provisioning, DONE)
    assert claim(row.pk) is not None


def test_its_end_calls_what_waits_on_its_machine(world: World, other: Server) -> None:
    provisioning = begun(other)
    queued(world)
    OrmQ.objects.all().delete()
    end(provisioning, DONE)
    assert executions() == 1


def test_a_machine_is_not_provisioned_by_two_names_at_once(world: World, other: Server) -> None:
    begun(other)
    with pytest.raises(Conflict, match="production-1 is the same machine"):
        ask(world)
    with pytest.raises(Conflict, match="production-1 is the same machine"):
        here(world)


def test_nor_beside_a_deployment_by_another_name(world: World, other: Server) -> None:
    row = queued(world)
    assert claim(row.pk) is not None
    asked = Operation.objects.create(
        server=other, kind=Operation.Kind.PROVISION, requested_by="administrator", request={}
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("deployments.operations.carrying_out._refuse_nobodys", lambda row: None)
        done = carry_out(number=asked.pk)
    assert (done.state, done.outcome) == (Operation.State.FAILED, EnvironmentBusy.reason)


def test_whoever_enrols_it_again_is_told_by_which_name_it_is_known(world: World, other: Server) -> None:
    said = known_as(other.host_key, "tea-1")
    assert said.startswith("This machine is already known as production-1 of production: its host key is the same.")
    assert known_as("ssh-ed25519 BBBB", "x") == ""
    Server.objects.filter(pk=world.servers["production"].pk).update(state=Server.State.RETIRED)
    assert known_as(other.host_key, "tea-1") == ""

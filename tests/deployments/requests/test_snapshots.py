"""What a request takes into its seal, and the account that two bots must not share."""

import json

import pytest

from deployments.models import Deployment, Environment, Server
from engine.errors import InvalidRequest
from tests.deployments.world import World


def account(world: World) -> list[str]:
    """What the bot of production signs in as."""
    row = world.request()
    document = json.loads(row.snapshot["configuration"]["files"]["dice.json"])
    row.delete()
    return [str(document["room"]).lower()]


def test_one_account_is_one_bot_wherever_the_other_one_runs(world: World) -> None:
    identity = account(world)
    Server.objects.filter(environment=world.test).update(facts={"identity": identity})
    with pytest.raises(InvalidRequest) as refused:
        world.request()
    assert refused.value.reason == "duplicate_account"
    assert all(server.name in str(refused.value) for server in world.servers.values())
    assert not Deployment.objects.exists()


@pytest.mark.parametrize("other", ["another account", "retired"])
def test_another_account_and_a_server_that_is_gone_are_in_nobodys_way(world: World, other: str) -> None:
    identity = account(world)
    Server.objects.filter(environment=world.production).update(facts={"identity": identity})
    there = Server.objects.filter(environment=world.test)
    if other == "retired":
        there.update(facts={"identity": identity}, state=Server.State.RETIRED)
    else:
        there.update(facts={"identity": ["elsewhere"]})
    assert world.request().pk


def test_two_bots_of_one_environment_would_kick_each_other(world: World) -> None:
    second = world.servers["production"]
    second.pk, second.name, second.host = None, "second-bot", "192.0.2.77"
    second.save(force_insert=True)
    with pytest.raises(InvalidRequest, match="second-bot"):
        world.request()


@pytest.mark.parametrize("signed", [False, True])
def test_the_policy_is_sealed_as_the_environment_has_it(world: World, signed: bool) -> None:
    Environment.objects.filter(name="production").update(
        signed_approvals=signed, approvals_required=2, approval_hours=7, bake_seconds=61, max_failures=3
    )
    policy = world.request().sealed.policy
    assert (policy.signed_approvals, policy.approvals_required, policy.bake_seconds) == (signed, 2, 61)
    assert policy.max_failures == 3

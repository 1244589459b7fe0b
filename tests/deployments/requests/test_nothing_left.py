"""An environment whose servers were all decommissioned runs nothing, whatever succeeded there once."""

import pytest

from deployments.core import selectors
from deployments.models import Deployment, Environment, Server, Target
from deployments.requests.choices import promoted_release
from deployments.requests.environment_status import environment_statuses
from deployments.requests.rollback_targets import rollback_target, why_none
from deployments.requests.rollbacks import request_rollback
from deployments.servers.decommissioning import decommission_on_record
from engine.errors import InvalidRequest
from tests.deployments.admin.test_pages import text_of
from tests.deployments.world import World


@pytest.fixture
def left(world: World) -> Environment:
    """Production, after two releases and the end of its only server."""
    for release in world.releases[:2]:
        world.succeeded(release)
    assert selectors.live_release(world.production) == world.releases[1]
    decommission_on_record(actor=world.people["colleague"], server=world.servers["production"])
    return world.production


def enrolled_anew(world: World) -> None:
    """The record of a machine under that name again, on which nothing was deployed."""
    Server.objects.filter(pk=world.servers["production"].pk).update(state=Server.State.PROVISIONED)


@pytest.mark.parametrize("anew", [False, True], ids=["decommissioned", "enrolled anew"])
def test_nothing_runs_there_and_there_is_nothing_to_go_back_from(world: World, left: Environment, anew: bool) -> None:
    if anew:
        enrolled_anew(world)
    assert selectors.live_release(left) is None
    assert rollback_target(left) is None
    standing = environment_statuses([left])[left.pk]
    assert (standing.live, standing.way_back, standing.can_roll_back) == (None, None, False)
    assert why_none(left) == "production has nothing to go back from: nothing runs on any of its servers."
    with pytest.raises(InvalidRequest, match="nothing to go back from"):
        request_rollback(actor=world.people["colleague"], environment=left, reason="because")
    with pytest.raises(InvalidRequest, match="Nothing is live on production"):
        promoted_release(left, world.test)


def test_pages_api_and_command_line_say_the_same(world: World, left: Environment) -> None:
    said = next(one for one in world.api("viewer", "get", "/environments").json() if one["name"] == "production")
    assert (said["live_release"], said["rollback_target"]) == (None, None)
    reader, last = world.client("viewer"), Deployment.objects.latest("pk")
    card = text_of(reader.get("/admin/").content.decode()).partition("production 1 approval")[2]
    assert card.startswith(f" Runs nothing Now idle Last deployment #{last.pk} Succeeded ")
    assert card.partition(" Rollback target ")[2].startswith("none yet ")
    page = text_of(reader.get(f"/admin/deployments/environment/{left.pk}/change/").content.decode())
    assert f"Runs nothing Now idle Last deployment #{last.pk} Succeeded" in page
    code, refused = world.command("requester", "rollback", "production", "--reason", "because")
    assert code != 0
    assert "nothing to go back from: nothing runs on any of its servers" in refused


def test_another_server_that_still_runs_it_is_enough(world: World) -> None:
    first = world.servers["production"]
    done = world.succeeded(world.releases[0])
    second = Server.objects.create(
        name="prod-2",
        environment=world.production,
        host="b.invalid",
        host_key=first.host_key,
        fingerprint=first.fingerprint,
        roles=["bot"],
        state=Server.State.PROVISIONED,
        current_release=done.release,
    )
    Target.objects.create(deployment=done, server=second, order=1)
    decommission_on_record(actor=world.people["colleague"], server=first)
    assert selectors.live_release(world.production) == world.releases[0]
    decommission_on_record(actor=world.people["colleague"], server=second)
    assert selectors.live_release(world.production) is None


def test_what_is_deployed_afterwards_is_live(world: World, left: Environment) -> None:
    enrolled_anew(world)
    world.succeeded(world.releases[0])
    assert selectors.live_release(left) == world.releases[0]
    assert rollback_target(left) == world.releases[1]

"""A server may say that it has seen newer deployments than the record; it may not end the environment with it."""

import json

import pytest

from deployments.models import Environment
from deployments.servers.adoption import FENCE_AHEAD, refuse_implausible_fence
from engine.errors import TargetError
from engine.remote.history import past_runs
from tests.deployments.world import World


@pytest.mark.parametrize("fence", [2**63 - 1, 40 + FENCE_AHEAD + 1, -1, True, 7.0, "7", None, [7]])
def test_a_fence_that_no_deployment_can_have_had_is_refused(world: World, fence: object) -> None:
    Environment.objects.filter(pk=world.production.pk).update(fence=40)
    with pytest.raises(TargetError, match=r"no deployment can have had that\. Nothing was taken over") as caught:
        refuse_implausible_fence(world.servers["production"], world.production, [1, fence])
    assert "is at 40" in str(caught.value)
    assert caught.value.reason == "implausible_fence"


@pytest.mark.parametrize("fence", [0, 40, 41, 10_040, 40 + FENCE_AHEAD])
def test_what_a_restored_portal_finds_is_believed(world: World, fence: int) -> None:
    Environment.objects.filter(pk=world.production.pk).update(fence=40)
    refuse_implausible_fence(world.servers["production"], world.production, [fence])


def test_a_line_of_the_journal_whose_fence_is_no_number_is_left_alone() -> None:
    lines = [{"kind": "run", "deployment": str(n), "fence": fence} for n, fence in enumerate(("x", [1], 1.5, True, 7))]
    assert [run.fence for run in past_runs(json.dumps(line).encode() for line in lines)] == [7]

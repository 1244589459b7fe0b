"""What an inspection says of units that are neither at rest nor well."""

import pytest

from engine.host.agent.fake_machine import Machine
from engine.host.agent.inspection import inspect_units
from engine.host.agent.tree import Tree
from tests.engine.host.runs import UNIT


@pytest.mark.parametrize(
    ("shown", "problem"),
    [
        ({"Type": "oneshot", "ActiveState": "activating", "SubState": "start"}, ""),
        ({"Type": "oneshot", "ActiveState": "deactivating", "SubState": "stop-post"}, ""),
        ({"Type": "oneshot", "ActiveState": "activating", "SubState": "auto-restart"}, f"{UNIT} is activating"),
        ({"Type": "notify", "ActiveState": "activating", "SubState": "start"}, f"{UNIT} is activating (start)"),
    ],
)
def test_only_a_job_that_does_its_work_just_now_is_no_difference(
    tree: Tree, machine: Machine, shown: dict[str, str], problem: str
) -> None:
    machine.unit(UNIT, **shown)
    [found] = inspect_units(tree, [UNIT])
    assert found["problem"].startswith(problem)
    assert bool(found["problem"]) == bool(problem)

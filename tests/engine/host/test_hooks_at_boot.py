"""Whoever asks a server that boots about a way back that waits: it is the boot's, which comes after databases."""

from pathlib import Path

import pytest

from engine.host.agent.errors import Refused
from engine.host.agent.fake_machine import Machine
from engine.host.agent.settle import EARLY, LATE
from engine.host.agent.tree import Tree
from tests.engine.host.runs import put_live, run
from tests.engine.host.test_hooks import contents, cut_off, database, hooked, recover


@pytest.fixture
def before(tree: Tree, machine: Machine) -> str:
    """The old release is live, and has written something."""
    put_live(tree)
    with database(tree) as tea:
        tea.executescript("create table tea (x); insert into tea values (1), (2), (3)")
    return contents(tree)


def test_who_asks_during_a_boot_leaves_the_way_back_to_it(tree: Tree, machine: Machine, before: str) -> None:
    cut_off(tree)
    recover(tree, boot=EARLY)
    unit = f"{Path(tree.root).name}-settle.service"
    for shown in ({"Job": "17"}, {"ActiveState": "activating"}):
        machine.unit(unit, **{"Job": "", "ActiveState": "inactive"} | shown)
        said = recover(tree)
        assert (said["status"], said["reason"]) == ("running", "host_locked"), said
        assert contents(tree) != before, "databases may not be there yet"
        with pytest.raises(Refused, match="This server boots"):
            run(tree, hooked(tree, deployment="9", fence=9))
        assert Path(tree.unsettled).exists()
    assert recover(tree, boot=LATE)["status"] == "reverted"
    assert contents(tree) == before


def test_who_asks_where_no_boot_is_to_run_it_runs_it(tree: Tree, machine: Machine, before: str) -> None:
    cut_off(tree)
    recover(tree, boot=EARLY)
    assert (recover(tree)["status"], contents(tree)) == ("reverted", before)

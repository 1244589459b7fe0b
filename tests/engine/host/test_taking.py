"""Having root's program take units over: one that waits for it already, or one that is started for it."""

from pathlib import Path

import pytest

from engine.host.agent import units
from engine.host.agent.errors import StepFailed
from engine.host.agent.processes import Tools
from engine.host.agent.tree import Tree

READY = {
    "waits": 'read line && echo \'{"put": ["early"]}\'',
    "was not let in": "echo 'sudo: a password is required' >&2; exit 1",
    "gave up waiting": "exit 0",
    "was killed while it waited": "kill -9 $$",
}


@pytest.fixture
def tools(tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tools:
    """Root's program is a script here."""
    monkeypatch.setattr(units, "SUDO", ())
    monkeypatch.setattr(units, "take_command", lambda name, verb=units.TAKE: ["/bin/sh", str(tmp_path / verb)])
    (tmp_path / units.TAKE).write_text('echo \'{"put": ["late"]}\'')
    return Tools("7", tree.root)


@pytest.mark.parametrize("how", READY)
def test_one_that_waits_is_told_and_one_that_has_ended_is_done_without(
    how: str, tree: Tree, tools: Tools, tmp_path: Path
) -> None:
    (tmp_path / units.TOLD).write_text(READY[how])
    ready = units.ready_to_take(tree, tools)
    assert units.take_units(tree, tools, ready) == {"put": ["early" if how == "waits" else "late"]}


def test_what_it_refuses_once_it_is_told_is_not_asked_again(tree: Tree, tools: Tools, tmp_path: Path) -> None:
    (tmp_path / units.TOLD).write_text('read line; echo \'{"sentence": "No."}\'; exit 1')
    with pytest.raises(StepFailed, match=r"were not taken over: No\."):
        units.take_units(tree, tools, units.ready_to_take(tree, tools))


def test_one_that_is_never_told_hears_that_whoever_would_have_told_it_is_gone(
    tree: Tree, tools: Tools, tmp_path: Path
) -> None:
    (tmp_path / units.TOLD).write_text("read line && echo told")
    ready = units.ready_to_take(tree, tools)
    ready.stdin.close()  # as its process' end does
    assert Tools.finish(ready) == (1, "")

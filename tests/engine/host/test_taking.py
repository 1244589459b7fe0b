"""Having root's program take units over: one that waits for it already, or one that is started for it."""

import hashlib
from pathlib import Path

import pytest

from engine.host.agent import units
from engine.host.agent.errors import StepFailed
from engine.host.agent.files import sha256_file
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


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ('echo a line before; echo \'{"sentence": "No."}\'; exit 3', "No."),
        ("echo nothing I know; exit 3", "'/bin/sh {take}' ended with 3: nothing I know"),
        ("exit 3", "'/bin/sh {take}' ended with 3: no output"),
        ("echo '[]'", "'/bin/sh {take}' ended with 0: []"),
        ("echo '{\"put\": []}'; exit 1", "'/bin/sh {take}' ended with 1: {{\"put\": []}}"),
    ],
)
def test_what_it_refuses_is_said_in_its_words_or_with_what_it_printed(
    tree: Tree, tools: Tools, tmp_path: Path, script: str, why: str
) -> None:
    (tmp_path / units.TAKE).write_text(script)
    with pytest.raises(StepFailed) as failed:
        units.take_units(tree, tools)
    assert failed.value.reason == "units_refused"
    said = why.format(take=tmp_path / units.TAKE)
    assert str(failed.value) == f"The units of the release were not taken over: {said}"


def test_a_full_disk_is_given_the_room_that_is_kept_for_it_once(tree: Tree, tools: Tools, tmp_path: Path) -> None:
    full = f'echo asked >>{tmp_path}/times; test -e {tree.ballast} || exec echo \'{{"put": ["late"]}}\''
    (tmp_path / units.TAKE).write_text(f"{full}; echo 'No space left on device'; exit 1")
    Path(tree.ballast).write_bytes(b"x" * 4096)
    assert units.take_units(tree, tools) == {"put": ["late"]}
    assert (tmp_path / "times").read_text() == "asked\n" * 2
    (tmp_path / units.TAKE).write_text(f"echo asked >>{tmp_path}/times; echo 'No space left on device'; exit 1")
    with pytest.raises(StepFailed, match="No space left on device"):
        units.take_units(tree, tools)
    assert (tmp_path / "times").read_text() == "asked\n" * 3, "there is no more room to give"


@pytest.mark.parametrize("found", [b"[Service]\n", b"[Service]\nUser=root\n", None])
def test_a_plan_for_units_that_systemd_has_otherwise_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found: bytes | None
) -> None:
    (tmp_path / "pot.service").write_bytes(b"[Service]\n")
    if found is not None:
        (tmp_path / "tea.service").write_bytes(found)
    monkeypatch.setattr(
        units, "sha256_file", lambda path: sha256_file(path.replace("/etc/systemd/system", str(tmp_path)))
    )
    digest = hashlib.sha256(b"[Service]\n").hexdigest()
    roles = [{"unit_files": {"pot.service": digest}}, {"unit_files": {"tea.service": digest}}]
    if found == b"[Service]\n":
        units.check_units(roles)
        return
    with pytest.raises(StepFailed) as failed:
        units.check_units(roles)
    assert failed.value.reason == "units_differ"
    assert "The unit file tea.service of this server" in str(failed.value)

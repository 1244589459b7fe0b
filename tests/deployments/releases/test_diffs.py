"""What differs between two releases, as an approver reads it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from deployments.releases import diffs
from deployments.releases.diffs import configuration_changes, release_changes
from engine.artifacts.artifact import ArtifactReader, build_artifact, open_artifact
from engine.artifacts.wheels import DirectoryWheels
from tests.fixtures.records import EXAMPLE

Edit = Callable[[Path], object]
Build = Callable[[str, Edit], ArtifactReader]


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """`build("1.0.1", edit)`: the example bot after `edit` has changed its tree."""

    def make(version: str, edit: Edit = lambda tree: None) -> ArtifactReader:
        tree = tmp_path / f"tree-{version}"
        shutil.copytree(EXAMPLE, tree)
        (tree / "VERSION").write_text(f"{version}\n")
        edit(tree)
        return open_artifact(build_artifact(tree, None, DirectoryWheels(tree), tmp_path / version).path)

    return make


def _changes(old: ArtifactReader | None, new: ArtifactReader) -> diffs.ReleaseChanges:
    with new:
        return release_changes(new, new.manifest, old, old.manifest if old else None, lambda text: text)


def test_a_first_release_adds_everything(build: Build) -> None:
    found = _changes(None, build("1.0.0", lambda tree: None))
    assert {change.kind for change in found.files} == {"added"}
    assert found.bytes_new > 0


def test_lines_that_differ_are_shown_with_their_kind(build: Build) -> None:
    new = build("1.0.1", lambda tree: (tree / "dicebot" / "new.py").write_text("one\ntwo\n"))
    found = {change.path: change for change in _changes(build("1.0.0", lambda tree: None), new).files}
    assert set(found) == {"VERSION", "dicebot/new.py"}
    assert [(line.kind, line.text) for line in found["VERSION"].lines or []] == [
        ("place", "@@ -1 +1 @@"),
        ("removed", "-1.0.0"),
        ("added", "+1.0.1"),
    ]
    assert found["dicebot/new.py"].kind == "added"
    assert (found["dicebot/new.py"].before, found["dicebot/new.py"].after) == (None, 8)


def test_what_cannot_be_read_is_named_with_the_reason(build: Build) -> None:
    def edit(tree: Path) -> None:
        (tree / "dicebot" / "large.txt").write_text("x" * (diffs.MAX_TEXT + 1))
        (tree / "dicebot" / "picture.png").write_bytes(b"\x89PNG\xff\xfe")
        (tree / "dicebot" / "__main__.py").chmod(0o755)

    found = _changes(build("1.0.0", lambda tree: None), build("1.0.1", edit))
    assert {change.path: change.why for change in found.files if change.lines is None} == {
        "dicebot/large.txt": "too large to be shown",
        "dicebot/picture.png": "not text",
        "dicebot/__main__.py": "only its mode changed",
    }


def test_a_removed_file_is_told(build: Build) -> None:
    old = build("1.0.0", lambda tree: (tree / "dicebot" / "gone.py").write_text("x = 1\n"))
    found = {change.path: change for change in _changes(old, build("1.0.1", lambda tree: None)).files}
    assert found["dicebot/gone.py"].kind == "removed"
    assert [line.text for line in found["dicebot/gone.py"].lines or []][-1] == "-x = 1"


def test_many_files_and_many_lines_are_cut_and_said_to_be(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diffs, "MAX_FILES", 3)
    monkeypatch.setattr(diffs, "MAX_LINES", 5)

    def edit(tree: Path) -> None:
        for number in range(6):
            (tree / "dicebot" / f"part{number}.py").write_text("line\n" * 20)

    found = _changes(build("1.0.0", lambda tree: None), build("1.0.1", edit))
    shown = [change for change in found.files if change.lines is not None]
    assert len(shown) == 3
    assert [change.cut for change in shown if change.path != "VERSION"] == [True, True]
    assert len([change for change in found.files if "only named" in change.why]) == 4


def test_a_base_without_its_artifact_is_compared_by_name(build: Build) -> None:
    old, new = build("1.0.0", lambda tree: None), build("1.0.1", lambda tree: None)
    found = release_changes(new, new.manifest, None, old.manifest, lambda text: text)
    assert [(change.path, change.why) for change in found.files] == [("VERSION", "what it was is not here")]


def test_wheels_are_listed_apart(build: Build) -> None:
    from engine.artifacts.manifest import Manifest, ManifestFile

    new = build("1.0.0", lambda tree: None)
    wheel = ManifestFile("wheels/bot/thing-1.0-py3-none-any.whl", 0o444, "a" * 64, 10)
    found = release_changes(new, Manifest([*new.manifest, wheel]), new, new.manifest, lambda text: text)
    assert [change.path for change in found.wheels] == [wheel.path]
    assert found.files == []


def test_configuration_is_compared_file_by_file_and_masked() -> None:
    old = {"bot.json": '{"a": 1, "password": "hunter2"}', "gone.json": "{}", "same.json": "{}"}
    new = {"bot.json": '{"a": 2, "password": "hunter2"}', "new.json": "{}", "same.json": "{}"}
    found = configuration_changes(old, new, lambda text: text.replace("hunter2", "[secret word]"))
    assert [(change.path, change.kind) for change in found] == [
        ("bot.json", "changed"),
        ("gone.json", "removed"),
        ("new.json", "added"),
    ]
    text = "\n".join(line.text for line in found[0].lines or [])
    assert "[secret word]" in text
    assert "hunter2" not in text


def test_units_that_change_are_named(build: Build) -> None:
    def edit(tree: Path) -> None:
        unit = tree / "systemd" / "dice-bot.service"
        unit.write_text(unit.read_text() + "# changed\n")

    before = build("1.0.0", lambda tree: None)
    assert _changes(before, build("1.0.1", lambda tree: None)).units == []
    assert _changes(before, build("1.0.2", edit)).units == ["dice-bot.service"]

"""Releases as records: what a version is, and what it says about itself."""

import subprocess
from pathlib import Path

import pytest

from deployments.core.actors import shell_actor
from deployments.releases.builds import build_release
from engine.errors import Conflict
from tests.fixtures.records import EXAMPLE

ACTOR = shell_actor("tester")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """The example bot in a repository of its own, version 1.0.0 committed."""
    tree = tmp_path / "repository"
    subprocess.run(["cp", "-r", str(EXAMPLE), str(tree)], check=True)
    subprocess.run(["git", "init", "-q", str(tree)], check=True)
    commit(tree, "1.0.0", "The first one")
    return tree


def commit(tree: Path, version: str, subject: str) -> None:
    """Commit everything as `version`."""
    (tree / "VERSION").write_text(f"{version}\n")
    git = ["git", "-C", str(tree), "-c", "user.name=t", "-c", "user.email=t@example.invalid"]
    subprocess.run([*git, "add", "-A"], check=True)
    subprocess.run([*git, "commit", "-q", "-m", subject], check=True)


def test_a_release_tells_what_changed_since_the_one_before(db: None, state_dir: Path, repository: Path) -> None:
    first, _ = build_release(actor=ACTOR, source=repository, ref=None)
    commit(repository, "1.0.1", "Dice with eight sides")
    commit(repository, "1.0.2", "Rolls are remembered; $(touch /tmp/no) `no`")
    second, new = build_release(actor=ACTOR, source=repository, ref="HEAD")
    assert new
    assert first.change_log == ""
    assert second.change_log.splitlines() == ["Rolls are remembered; $(touch /tmp/no) `no`", "Dice with eight sides"]


def test_a_version_means_one_content(db: None, state_dir: Path, repository: Path) -> None:
    first, _ = build_release(actor=ACTOR, source=repository, ref=None)
    again, new = build_release(actor=ACTOR, source=repository, ref=None)
    assert (again, new) == (first, False)
    (repository / "dicebot" / "extra.py").write_text("\n")
    commit(repository, "1.0.0", "Same version, other content")
    with pytest.raises(Conflict, match="raise VERSION"):
        build_release(actor=ACTOR, source=repository, ref=None)

"""A second release: something to go on to, and to come back from."""

import shutil
import subprocess
from pathlib import Path

from sandbox.demo.portal import ROOT, DemoPortal


def settle(portal: DemoPortal) -> None:
    """Let the portal run from a clone of its own, made now or before.

    What is pulled into this tree while a day goes on is not run over the database of that day.
    """
    tree = portal.state / "this"
    if not tree.exists():
        _clone(ROOT, tree)
    portal.tree = tree


def clone_following(tree: Path, source: Path = ROOT) -> None:
    """Make `tree` a clone of `source` with its version raised by one, and that committed.

    A repository of its own: what merely lies in another one's directory is read as a part of that.
    """
    _clone(source, tree)
    before, _, last = version_of(tree).rpartition(".")
    (tree / "VERSION").write_text(f"{before}.{int(last) + 1}\n")
    identity = ("-c", "user.name=sandbox", "-c", "user.email=sandbox@example.org")
    subprocess.run(["git", *identity, "commit", "-qam", "The next version"], cwd=tree, check=True)


def _clone(source: Path, tree: Path) -> None:
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", str(source), str(tree)], check=True)


def version_of(tree: Path) -> str:
    """What the file VERSION of a tree says."""
    return (tree / "VERSION").read_text().strip()


def build_following(portal: DemoPortal) -> str:
    """Build the release that comes after HEAD's; returns its version."""
    tree = portal.state / "following"
    shutil.rmtree(tree, ignore_errors=True)
    clone_following(tree)
    portal.manage("build_release", "--source", str(tree), "--ref", "HEAD")
    return version_of(tree)

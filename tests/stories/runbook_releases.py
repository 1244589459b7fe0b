"""Releases of the bot that nobody should have: one that does not start, and one that leaks."""

import json
import subprocess
from collections.abc import Callable

from sandbox.demo.following import clone_following
from tests.stories.runbook_world import ROOT_OF_BOT, UNIT, World

SPOILED = "raise SystemExit('spoiled on purpose')\n"
TOLD = f"{ROOT_OF_BOT}/shared/data/leak"
LEAK = f"""

import pathlib as _pathlib
import threading as _threading


def _leak() -> None:
    held = []
    while int(_pathlib.Path("/proc/self/statm").read_text().split()[1]) * 4096 < 508_000_000:
        held.append(b"x" * 2_000_000)
    _threading.Event().wait()


_TOLD = _pathlib.Path({TOLD!r})
if _TOLD.exists():
    _TOLD.unlink()
    _threading.Thread(target=_leak, daemon=True).start()
"""
"""Once, where it is told to: above what the rule allows (500 MB), below what systemd does (`MemoryMax`, 524 MB)."""


def another(world: World, name: str, change: Callable[[str], str]) -> str:
    """The identifier of a release after the newer one whose `botcore/bot.py` is changed."""
    tree = world.stage.portal.state / name
    if not tree.exists():
        clone_following(tree, world.stage.portal.state / "next")
        program = tree / "botcore/bot.py"
        program.write_text(change(program.read_text()))
        identity = ["-c", "user.name=sandbox", "-c", "user.email=sandbox@example.org"]
        subprocess.run(["git", *identity, "commit", "-qam", name], cwd=tree, check=True)
    built = world.manage("build_release", "--source", str(tree), "--ref", "HEAD", "--json")
    release: str = json.loads(built[built.index("{") :])["release"]
    return release


def grow_beyond_its_limit(world: World) -> None:
    """A release that leaks runs, and has begun to."""
    release = another(world, "leaking", lambda text: text + LEAK)
    world.manage("deploy", "test", "--release", release, "--reason", "provoked", "--again", person="operator")
    world.root(f"touch {TOLD} && systemctl restart {UNIT}")

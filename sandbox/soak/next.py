"""The version after this one: a clone of this tree with a higher VERSION, to be deployed and updated to."""

import json
import os
import signal
from pathlib import Path

from sandbox.demo.following import clone_following
from sandbox.demo.portal import DemoPortal
from sandbox.soak.diary import Diary


class NextVersion:
    """Made once per soak, in the portal's state directory."""

    def __init__(self, portal: DemoPortal) -> None:
        self._portal = portal
        self.tree = portal.state / "next"

    def make(self) -> None:
        """Clone this tree with a higher VERSION; nothing when that has been done."""
        if not self.tree.exists():
            clone_following(self.tree, self._portal.tree)

    def release(self) -> str:
        """The identifier of the release that is built of it, now or before."""
        said = self._portal.manage("build_release", "--source", str(self.tree), "--ref", "HEAD", "--json")
        found: str = json.loads(said[said.index("{") :])["release"]
        return found

    def updated(self, diary: Diary) -> bool:
        """Whether the portal of a soak that is gone on with had been updated."""
        return any(entry.what == "portal-update" and entry.good for entry in diary.entries)

    def move_in(self) -> None:
        """Let the portal run from the next version."""
        self._portal.stop()
        self._portal.tree = self.tree
        self._portal.run()
        self._portal.wait_until_up()

    def kill_clusters(self) -> int:
        """SIGKILL for the main process of every cluster of workers of the portal; how many there were."""
        found = [pid for pid in children(self._portal.pid) if "qcluster" in command_line(pid)]
        for pid in found:
            os.kill(pid, signal.SIGKILL)
        return len(found)


def children(parent: int) -> list[int]:
    """Processes that this one has started."""
    listed = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [int(pid) for pid in listed]


def command_line(pid: int) -> str:
    """What it was started with, its words apart by NUL."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")

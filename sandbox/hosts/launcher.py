"""Become the container manager of one host. Run as a program, before anything of the host exists:

    python launcher.py PLAN

PLAN is a JSON object: `groups` (cgroup.procs files to join), `lower`, `upper`, `work`, `root` (directories of the
overlay; root is where it is mounted), `disk` (an image file, where its file system is mounted, and where its tree is,
or null), `command` (what to become; it finds the host's file system at /run/host-root).

All mounts are made in a mount namespace of this process alone, and what the container manager writes into /run and
/tmp goes to memory there: when the processes of the host are gone, nothing is left of them, however they ended.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import subprocess
import sys
import time

CLONE_NEWNS = 0x00020000
MS_BIND = 0x1000
MS_MOVE = 0x2000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
ROOT = "/run/host-root"
RELEASE_DEADLINE = 10.0
"""Seconds to wait for an earlier run of the same host to let go of its disk; the kernel does that a moment later."""

libc = ctypes.CDLL(None, use_errno=True)


def system(result: int, what: str) -> None:
    """Raise OSError with `what` unless a system call returned 0."""
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)


def mount(source: str, target: str, kind: str, flags: int = 0, options: str = "") -> None:
    """mount(2)."""
    words = [source.encode(), target.encode(), kind.encode()]
    system(libc.mount(*words, ctypes.c_ulong(flags), options.encode() or None), f"mount {kind or source} at {target}")


def mount_overlay(plan: dict[str, str]) -> None:
    """Mount the host's file system, once the kernel lets go of the directories."""
    end = time.monotonic() + RELEASE_DEADLINE
    while True:
        try:
            options = f"lowerdir={plan['lower']},upperdir={plan['upper']},workdir={plan['work']}"
            mount("overlay", plan["root"], "overlay", options=options)
            return
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() > end:
                raise
            time.sleep(0.02)


def mount_disk(root: str, image: str, home: str, path: str) -> None:
    """Mount the host's small disk, once no earlier run of the host has it, and its tree at the path. See disk.py."""
    end = time.monotonic() + RELEASE_DEADLINE
    while subprocess.run(["losetup", "-j", image], capture_output=True, check=True).stdout:
        if time.monotonic() > end:
            raise OSError(errno.EBUSY, "still in use", image)
        time.sleep(0.02)
    subprocess.run(["mount", "-t", "ext4", "-o", "loop", image, root + home], check=True)
    mount(f"{root}{home}/tree", root + path, "", MS_BIND)


def main() -> None:
    """Join, mount, become."""
    plan = json.loads(sys.argv[1])
    for group in plan["groups"]:
        with open(group, "w") as file:  # noqa: PTH123 - as above
            file.write("0")
    system(libc.unshare(CLONE_NEWNS), "a mount namespace")
    mount("", "/", "", MS_REC | MS_PRIVATE)
    mount_overlay(plan)
    if plan["disk"]:
        mount_disk(plan["root"], *plan["disk"])
    here = os.open(plan["root"], os.O_PATH)
    mount("tmpfs", "/run", "tmpfs", options="mode=755")
    os.mkdir(ROOT)  # noqa: PTH102 - as above
    mount(f"/proc/self/fd/{here}", ROOT, "", MS_MOVE)
    os.close(here)
    mount("tmpfs", "/tmp", "tmpfs", options="mode=1777")  # noqa: S108 - a mount, no file
    os.execvp(plan["command"][0], plan["command"])  # noqa: S606 - this process is the one that is counted and killed


if __name__ == "__main__":
    main()

"""Runs inside a host, with its Python: what the control machine cannot do from outside. See disk.py.

python3 - mount HOME PATH MAJOR:MINOR        python3 - limit HOME BYTES
"""

import errno
import os
import subprocess
import sys
from pathlib import Path


def call(*argv: str) -> None:
    """Run a program that must succeed."""
    subprocess.run(argv, check=True)


def mount(home: str, path: str, device: str) -> None:
    """Mount the device at home, copy what is at path into its tree, and mount the tree there."""
    node = "/dev/sandbox-disk"
    Path(path).mkdir(parents=True, exist_ok=True)
    Path(home).mkdir(parents=True, exist_ok=True, mode=0o700)
    major, minor = device.split(":")
    call("mknod", node, "b", major, minor)
    try:
        call("mount", "-t", "ext4", node, home)
    finally:
        Path(node).unlink()
    tree = home + "/tree"
    call("cp", "-a", path, tree)
    call("mount", "--bind", tree, path)


def limit(home: str, size: int) -> None:
    """Let the tree have `size` bytes in all: the rest of the disk is taken by ballast beside it.

    0 takes the ballast away.
    """
    with (Path(home) / "ballast").open("ab") as file:
        disk = os.statvfs(home)
        ballast = os.fstat(file.fileno()).st_blocks * 512
        used = (disk.f_blocks - disk.f_bfree) * disk.f_frsize - ballast
        wanted = max(disk.f_bavail * disk.f_frsize + ballast - max(size - used, 0), 0) if size else 0
        if wanted <= ballast:
            file.truncate(wanted)
            return
        try:
            os.posix_fallocate(file.fileno(), ballast, wanted - ballast)
        except OSError as error:
            if error.errno != errno.ENOSPC:  # no room left is what was asked for
                raise


if __name__ == "__main__":
    words = sys.argv[1:]
    if words[0] == "mount":
        mount(words[1], words[2], words[3])
    else:
        limit(words[1], int(words[2]))

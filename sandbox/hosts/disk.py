"""A small disk for one tree of a host, so that it can really run full, and be given room again, without anybody
noticing but by the room there is.

The tree moves onto a file system of its own in an image file (ext4, LARGEST bytes, sparse). Beside the tree, out of
sight of it, lies ballast: a file that takes all room but what is wanted. Making the disk smaller or larger later is
making the ballast larger or smaller; nothing is mounted over what is running, nothing written is lost, and the disk
is there again after a power cut.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

from .processes import run

HOME = "/var/lib/sandbox-disk"
"""Where the file system is mounted inside the host. Its `tree` is mounted at the path that was asked for."""

LARGEST = 4 << 30
INSIDE = Path(__file__).with_name("disk_inside.py")
UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def parse_size(text: str) -> int:
    """Bytes of `30M`, `64K`, `1G` (powers of 1024). Raises ValueError, also above the 4 GB a disk can have."""
    match = re.fullmatch(r"([0-9]+)([KMG]?)", text.upper())
    size = int(match[1]) * UNITS[match[2]] if match else 0
    if not 0 < size <= LARGEST:
        raise ValueError(f"{text!r} is no size of a disk: a number with K, M or G behind it, at most 4G.")
    return size


class Disk:
    """The small disk of one host, on or not."""

    def __init__(self, directory: Path) -> None:
        self.image = directory / "disk.img"
        self._where = directory / "disk.json"

    @property
    def path(self) -> str | None:
        """Where in the host the tree is, None when the host has no small disk."""
        return str(json.loads(self._where.read_text())) if self._where.exists() else None

    def limit(self, inside: Callable[[list[str], bytes], object], size: int) -> None:
        """Let the tree have so many bytes in all; 0 for as much as there is. `inside` runs a program in the host."""
        inside(["python3", "-", "limit", HOME, str(size)], INSIDE.read_bytes())

    def create(self, inside: Callable[[list[str], bytes], object], path: str) -> None:
        """Move the tree at path onto a disk of its own."""
        with self.image.open("wb") as file:
            file.truncate(LARGEST)
        shape = ["-m", "0", "-O", "^has_journal", "-E", "lazy_itable_init=1,nodiscard"]
        run(["mkfs.ext4", "-q", *shape, str(self.image)])
        loop = run(["losetup", "--find", "--show", str(self.image)]).stdout.decode().strip()
        try:
            number = os.stat(loop).st_rdev  # noqa: PTH116 - a device number, not a path
            device = f"{os.major(number)}:{os.minor(number)}"
            inside(["python3", "-", "mount", HOME, path, device], INSIDE.read_bytes())
        finally:
            run(["losetup", "--detach", loop])  # takes effect when the last mount of it is gone
        self._where.write_text(json.dumps(path))

"""What is built once and shared by every set: the Debian image, saved layers, the cable program.

    CACHE/lock                     held while something is built
    CACHE/cable-<digest>           the compiled cable
    CACHE/<recipe digest>/base/    a Debian image, never written to again
    CACHE/<recipe digest>/layers/  saved layers, on top of that image: NAME/upper, NAME/below (another layer)
    CACHE/sets/                    state of the sets that were given no directory of their own

CACHE is SANDBOX_HOSTS_DIR, or cytube-ops-portal/hosts in XDG_CACHE_HOME (~/.cache). What is built appears under its
name in one rename when it is complete, so the name is the mark of completeness.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from .errors import DirectoryRefused
from .recipe import digest

CABLE_SOURCE = Path(__file__).with_name("cable.c")


def cache() -> Path:
    """The shared directory; it may not exist yet."""
    given = os.environ.get("SANDBOX_HOSTS_DIR")
    if given:
        return Path(given).absolute()
    caches = os.environ.get("XDG_CACHE_HOME")
    return (Path(caches) if caches else Path.home() / ".cache") / "cytube-ops-portal" / "hosts"


def base(image: str = "bare") -> Path:
    """Where a Debian image is once it is built."""
    return cache() / digest(image) / "base"


def cable_program() -> Path:
    """Where the compiled cable is once it is compiled."""
    return cache() / f"cable-{hashlib.sha256(CABLE_SOURCE.read_bytes()).hexdigest()[:12]}"


def layers() -> Path:
    """Where saved layers are. They belong to one recipe of the image: with another they are not found."""
    return cache() / digest() / "layers"


def usable(directory: Path) -> Path:
    """The directory, made if need be. Raises DirectoryRefused."""
    check_path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def check_path(directory: Path) -> None:
    """Raises DirectoryRefused for a path that overlayfs options cannot carry."""
    if set(str(directory)) & set(",:\\\n"):
        raise DirectoryRefused(
            f"{str(directory)!r} has a comma, colon or backslash in it, which overlayfs cannot mount.",
            hint="Choose another directory, with SANDBOX_HOSTS_DIR or `directory`.",
        )


@contextlib.contextmanager
def locked(name: str = "lock") -> Iterator[None]:
    """Only one process at a time, on the whole machine; given back by the kernel when the holder dies."""
    with (usable(cache()) / name).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield

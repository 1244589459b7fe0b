"""What is built once and shared by every set: the Debian image, saved layers, the cable program.

    CACHE/lock                     held while something is built
    CACHE/cable-<digest>           the compiled cable
    CACHE/<recipe digest>/base/    the Debian image, never written to again
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
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from .errors import DirectoryRefused, LayerTaken, LayerUnknown
from .processes import run
from .recipe import digest

BARE = "bare"
"""The layer of a Debian host on which nothing was provisioned."""

CABLE_SOURCE = Path(__file__).with_name("cable.c")

LAYER_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}")


def cache() -> Path:
    """The shared directory; it may not exist yet."""
    given = os.environ.get("SANDBOX_HOSTS_DIR")
    if given:
        return Path(given).absolute()
    caches = os.environ.get("XDG_CACHE_HOME")
    return (Path(caches) if caches else Path.home() / ".cache") / "cytube-ops-portal" / "hosts"


def base() -> Path:
    """Where the Debian image is once it is built."""
    return cache() / digest() / "base"


def cable_program() -> Path:
    """Where the compiled cable is once it is compiled."""
    return cache() / f"cable-{hashlib.sha256(CABLE_SOURCE.read_bytes()).hexdigest()[:12]}"


def layers() -> Path:
    """Where saved layers are. They belong to one recipe of the image: with another they are not found."""
    return cache() / digest() / "layers"


def usable(directory: Path) -> Path:
    """The directory, made if need be. Raises DirectoryRefused for a path that overlayfs options cannot carry."""
    if set(str(directory)) & set(",:\\\n"):
        raise DirectoryRefused(
            f"{str(directory)!r} has a comma, colon or backslash in it, which overlayfs cannot mount.",
            hint="Choose another directory, with SANDBOX_HOSTS_DIR or `directory`.",
        )
    directory.mkdir(parents=True, exist_ok=True)
    return directory


@contextlib.contextmanager
def locked(name: str = "lock") -> Iterator[None]:
    """Only one process at a time, on the whole machine; given back by the kernel when the holder dies."""
    with (usable(cache()) / name).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def chain(layer: str) -> list[Path]:
    """The directories a host of this layer is stacked on, topmost first. Raises LayerUnknown."""
    if layer == BARE:
        return [base()]
    saved = layers() / layer
    if not LAYER_NAME.fullmatch(layer) or not saved.is_dir():
        raise LayerUnknown(
            f"No layer {layer!r} is saved on the present Debian image.",
            hint=f"Saved: {', '.join([BARE, *saved_layers()])}. `Host.save_layer` makes one.",
        )
    return [saved / "upper", *chain((saved / "below").read_text())]


def saved_layers() -> list[str]:
    """Names of the saved layers."""
    return (
        sorted(entry.name for entry in layers().iterdir() if not entry.name.startswith("."))
        if layers().is_dir()
        else []
    )


def new_layer(name: str) -> None:
    """Refuse a name that cannot become a new layer: LayerTaken, or ValueError for one that is no name."""
    if name == BARE or not LAYER_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name for a layer: lower-case letters, digits, dots, underscores and dashes.")
    if (layers() / name).exists():
        raise LayerTaken(
            f"A layer {name!r} is saved already, and hosts may be running on it.", hint="Choose another name."
        )


def add_layer(name: str, upper: Path, below: str) -> None:
    """Make a directory of changes a layer; `upper` is gone afterwards."""
    new_layer(name)
    made = usable(layers()) / f".{name}.{os.getpid()}"
    made.mkdir()
    (made / "below").write_text(below)
    try:
        upper.rename(made / "upper")
    except (
        OSError
    ):  # another file system; overlayfs keeps its own marks in attributes and device nodes, which cp -a carries
        run(["cp", "-a", str(upper), str(made / "upper")], deadline=600)
        shutil.rmtree(upper)
    made.rename(layers() / name)

"""Saved layers: what was changed on a host, kept so that copies of it boot in a second."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from . import registry, store
from .errors import LayerTaken, LayerUnknown
from .processes import run
from .recipe import IMAGES

BARE = "bare"
"""The layer of a Debian host on which nothing was provisioned. Always there, never removed, as the other images."""

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}")


def stack(layer: str) -> list[Path]:
    """The directories a host of this layer stands on, topmost first. Raises LayerUnknown."""
    if layer in IMAGES:
        return [store.base(layer)]
    return [store.layers() / layer / "upper", *stack(_below(layer))]


def image_of(layer: str) -> str:
    """The image that a layer stands on: saved ones are of the bare one."""
    return layer if layer in IMAGES else BARE


def _below(layer: str) -> str:
    if layer not in saved_layers():
        raise LayerUnknown(
            f"No layer {layer!r} is saved on the present Debian image.",
            hint=f"Saved: {', '.join([*IMAGES, *saved_layers()])}. `Host.save_layer` makes one.",
        )
    return (store.layers() / layer / "below").read_text()


def saved_layers() -> list[str]:
    """Names of the saved layers."""
    if not store.layers().is_dir():
        return []
    return sorted(entry.name for entry in store.layers().iterdir() if not entry.name.startswith("."))


def check_new(name: str) -> None:
    """Refuse a name that cannot become a new layer: LayerTaken, or ValueError for one that is no name."""
    if name in IMAGES or not NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name for a layer: lower-case letters, digits, dots, underscores and dashes.")
    if name in saved_layers():
        raise LayerTaken(
            f"A layer {name!r} is saved already, and hosts may be running on it.", hint="Choose another name."
        )


def add(name: str, upper: Path, below: str) -> None:
    """Make a directory of changes a layer; `upper` is gone afterwards."""
    check_new(name)
    made = store.usable(store.layers()) / f".{name}.{os.getpid()}"
    made.mkdir()
    (made / "below").write_text(below)
    try:
        upper.rename(made / "upper")
    except OSError:  # another file system; cp -a carries the attributes and device nodes that are overlayfs's own marks
        run(["cp", "-a", str(upper), str(made / "upper")], deadline=600)
        shutil.rmtree(upper)
    made.rename(store.layers() / name)


def remove_layer(name: str) -> None:
    """Forget a layer. Raises LayerUnknown, and LayerTaken as long as a host or another layer stands on it."""
    stands = {other for other in saved_layers() if _below(other) == name}
    for record in registry.records():
        hosts = record.state.glob("host*/layer")
        stands.update(f"{path.parent.name} of {record.name}" for path in hosts if path.read_text() == name)
    if stands:
        raise LayerTaken(f"{', '.join(sorted(stands))} stands on the layer {name!r}.", hint="Take that down first.")
    _below(name)
    gone = store.layers() / f".{name}.{os.getpid()}"
    (store.layers() / name).rename(gone)
    shutil.rmtree(gone)

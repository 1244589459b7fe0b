"""Which version and which release this process runs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

UNRELEASED = "unreleased"


def version() -> str:
    """What VERSION at the release's root says, else the version of the installed package, else "unknown"."""
    try:
        return (Path(__file__).resolve().parent.parent / "VERSION").read_text(encoding="utf-8").strip()
    except OSError:
        pass
    from importlib import metadata  # takes a while, and where a release runs nobody asks

    try:
        return metadata.version("cytube-ops-portal")
    except metadata.PackageNotFoundError:
        return "unknown"


def release_id(environ: Mapping[str, str] = os.environ) -> str:
    """The release's name, which systemd puts into RELEASE_ID; "unreleased" from a checkout."""
    return environ.get("RELEASE_ID", "").strip() or UNRELEASED

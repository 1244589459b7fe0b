"""Which version and which release this process runs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

UNRELEASED = "unreleased"


def version() -> str:
    """The text of the VERSION file at the release's root; "unknown" when there is none."""
    try:
        return (Path(__file__).resolve().parent.parent / "VERSION").read_text(encoding="utf-8").strip()
    except OSError:
        return "unknown"


def release_id(environ: Mapping[str, str] = os.environ) -> str:
    """The release's name, which systemd puts into RELEASE_ID; "unreleased" from a checkout."""
    return environ.get("RELEASE_ID", "").strip() or UNRELEASED

"""The VERSION file: one line, and strict, because it becomes the name of a directory and travels in HTTP headers."""

import re

MAX_VERSION = 40
EXPLAINED = "It must be one line like 1.4.0 or 2.0.0-rc1: numbers with dots, then letters and digits if need be."

_VERSION = re.compile(r"[0-9]+(?:\.[0-9]+){1,3}(?:[.-]?[0-9A-Za-z])*")


def read_version(content: bytes) -> str | None:
    """The version in a VERSION file, or None if it holds anything else."""
    text = content.decode(errors="replace").removesuffix("\n").removesuffix("\r")
    return text if len(text) <= MAX_VERSION and _VERSION.fullmatch(text) else None

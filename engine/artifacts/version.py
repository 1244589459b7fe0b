"""The VERSION file: one line, and strict, because it becomes the name of a directory and travels in HTTP headers.

Between two versions a commit can name a release: `1.4.0+g3f2a91c` is the commit 3f2a91c, after the VERSION 1.4.0.
"""

import re

MAX_VERSION = 40
EXPLAINED = "It must be one line like 1.4.0 or 2.0.0-rc1: numbers with dots, then letters and digits if need be."

_VERSION = re.compile(r"[0-9]+(?:\.[0-9]+){1,3}(?:[.-]?[0-9A-Za-z])*(?:\+g[0-9a-f]{7,12})?")
_COMMIT = 7  # digits, as git shows it


def read_version(content: bytes) -> str | None:
    """The version in a VERSION file, or None if it holds anything else."""
    text = content.decode(errors="replace").removesuffix("\n").removesuffix("\r")
    return text if len(text) <= MAX_VERSION and _VERSION.fullmatch(text) else None


def commit_version(version: str, commit: str) -> str:
    """The version of a commit that comes after `version`: `1.4.0+g3f2a91c`."""
    return f"{version.partition('+')[0]}+g{commit[:_COMMIT]}"


def by_commit(version: str) -> bool:
    """Whether a version was made from a commit, and nobody gave it."""
    return "+g" in version


def tag_names(version: str) -> tuple[str, str]:
    """The tags that name a version."""
    return f"v{version}", version

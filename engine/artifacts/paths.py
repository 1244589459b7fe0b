"""Which paths may be in a release: relative, printable, without surprises on any file system."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable

# Linux: 255 bytes for a name, 4096 for a path. `/opt/<name>/releases/<release id>/` needs its share of the latter.
MAX_NAME = 255
MAX_PATH = 3900

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def why_unsafe(path: str) -> str | None:
    """Why `path` cannot be a path below a release directory, as the end of a sentence; None if it can."""
    try:
        size = len(path.encode())
    except UnicodeEncodeError:
        return "is not valid UTF-8"
    if not path:
        return "is empty"
    if _UNPRINTABLE.search(path):
        return "contains a control character or a line break"
    if path.startswith("/"):
        return "is absolute; paths are relative to the directory of deploy.toml"
    names = path.split("/")
    if ".." in names:
        return "leads out of the tree with '..'"
    if "" in names or "." in names:
        return "has an empty or '.' part"
    if size > MAX_PATH or any(len(name.encode()) > MAX_NAME for name in names):
        return f"is too long (a name may have {MAX_NAME} bytes, a path {MAX_PATH})"
    return None


def clashes(paths: Iterable[str]) -> list[tuple[str, ...]]:
    """Groups of paths, directories included, that are one path where case or Unicode form does not count."""
    spellings: defaultdict[str, set[str]] = defaultdict(set)
    for path in paths:
        while path and path not in spellings[_folded(path)]:
            spellings[_folded(path)].add(path)
            path = path.rpartition("/")[0]
    found = sorted(tuple(sorted(group)) for group in spellings.values() if len(group) > 1)
    # a clash of directories repeats itself in everything below them
    return [group for group in found if not _below_another(group, found)]


def _below_another(group: tuple[str, ...], groups: list[tuple[str, ...]]) -> bool:
    parents = {path.rpartition("/")[0] for path in group}
    return len(parents) > 1 and any(parents <= set(other) for other in groups)


def _folded(path: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", path).casefold())

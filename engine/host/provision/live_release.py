"""What the live release of a tree brings for root, read with the deploying account's rights, and not checked yet."""

from __future__ import annotations

import binascii
import os
import re
import stat
from typing import Any, Dict, Iterable, List, NamedTuple, Optional

from .accounts import as_account
from .ownership import deploying_account
from .paths import Refused, place
from .unit_rules import accounts_of

MOST_BYTES = 1 << 19  # of all units of a release, of all secrets
MOST_UNITS = 40
_LIVE = re.compile(r"releases/([A-Za-z0-9][A-Za-z0-9._+-]{0,127})")
_PATH = re.compile(r"(?:[A-Za-z0-9_@+-][A-Za-z0-9_.@+-]*/)*[A-Za-z0-9_@+-][A-Za-z0-9_.@+-]*")
_SECRET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,100}")


class LiveRelease(NamedTuple):
    """The units of a release by name, and the accounts that each may run as."""

    release: str
    units: Dict[str, bytes]
    accounts: Dict[str, List[str]]


def live_release(name: str) -> Optional[str]:
    """What `current` of a tree points to; None where nothing was deployed yet."""
    path = "/opt/%s/current" % name
    try:
        with place(path) as where:
            target = os.readlink(where.name, dir_fd=where.parent)
    except FileNotFoundError:
        return None
    except OSError:
        raise Refused("%s is no link to a release. Deploy again." % path) from None
    found = _LIVE.fullmatch(target)
    if found is None:
        raise Refused("%s leads to %r, which is no release. Deploy again." % (path, target))
    return found.group(1)


def read_release(name: str, release: str, roles: Iterable[str]) -> LiveRelease:
    """The units that a release has for these roles. Raises Refused for a link in their way, and for what is missing."""
    top = "/opt/%s/releases/%s" % (name, release)
    told = _described(_read([top + "/deploy.toml"], linked=False)[0], name)
    paths: Dict[str, str] = {}
    accounts: Dict[str, List[str]] = {}
    for role in roles:
        for path in _units_of(told, role):
            unit = path.rpartition("/")[2]
            if paths.setdefault(unit, path) != path:
                raise Refused("The release brings two units that are called %s." % unit)
            accounts[unit] = accounts_of(name, role)
    if len(paths) > MOST_UNITS:
        raise Refused("The release brings %d units; %d are the most." % (len(paths), MOST_UNITS))
    contents = _read(["%s/%s" % (top, path) for path in paths.values()], linked=False)
    for path, content in zip(paths.values(), contents):
        if content is None:
            raise Refused("The release has no file %s. Deploy it again." % path)
    return LiveRelease(release, {unit: content or b"" for unit, content in zip(paths, contents)}, accounts)


def _described(content: Optional[bytes], name: str) -> Dict[str, Any]:
    try:
        import tomllib
    except ImportError:
        raise Refused("Units travel with a release where Python is 3.11 or newer. Upgrade this server.") from None
    if content is None:
        raise Refused("The release that is live has no deploy.toml. Deploy it again.")
    try:
        told = tomllib.loads(content.decode())
    except (ValueError, RecursionError) as error:
        raise Refused("The release's deploy.toml cannot be read: %s." % str(error)[:200]) from None
    if told.get("name") != name:
        raise Refused("The release's deploy.toml is another application's.")
    return told


def _units_of(told: Dict[str, Any], role: str) -> List[str]:
    roles = told.get("roles")
    described = roles.get(role, {}) if isinstance(roles, dict) else None
    units = described.get("units", []) if isinstance(described, dict) else None
    if not isinstance(units, list) or not all(isinstance(path, str) and _PATH.fullmatch(path) for path in units):
        raise Refused("The release's deploy.toml does not name the units of the %s as paths." % role)
    return units


def secret_names(name: str) -> List[str]:
    """The secrets that were delivered to a tree."""
    directory = "/opt/%s/shared/secrets" % name

    def listed() -> List[str]:
        try:
            return sorted(os.listdir(directory))
        except OSError:
            return []

    return [entry for entry in as_account(deploying_account(name), listed) if _SECRET.fullmatch(str(entry))]


def readable(paths: List[str]) -> List[Optional[bytes]]:
    """The content of files of the tree, as the deploying account may read them; None for what it may not, or is none.

    A link that it put there leads it to nothing that it cannot read anyway.
    """
    return _read(paths, linked=True)


def _read(paths: List[str], linked: bool) -> List[Optional[bytes]]:
    encoded = as_account(_deploys(paths), lambda: _encoded(paths, linked)) if paths else []
    return [None if text is None else binascii.a2b_base64(str(text)) for text in encoded]


def _deploys(paths: List[str]) -> str:
    return deploying_account(paths[0].split("/")[2])  # /opt/NAME/…


def _encoded(paths: List[str], linked: bool) -> List[Optional[str]]:
    found: List[Optional[str]] = []
    left = MOST_BYTES
    for path in paths:
        content = _content(path, linked, left)
        left -= len(content or b"")
        found.append(None if content is None else binascii.b2a_base64(content, newline=False).decode())
    return found


def _content(path: str, linked: bool, most: int) -> Optional[bytes]:
    try:
        if linked:
            fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        else:
            with place(path) as where:
                fd = where.open(os.O_RDONLY)
    except OSError as error:
        if linked or isinstance(error, FileNotFoundError):
            return None
        raise Refused("%s is no plain file (%s). Look who put it there." % (path, error.strerror)) from None
    with os.fdopen(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            if linked:
                return None
            raise Refused("%s is no plain file. Look who put it there." % path)
        content = file.read(most + 1)
    if len(content) > most:
        raise Refused("%s is too long: root takes at most %d KiB of a tree." % (path, MOST_BYTES >> 10))
    return content

"""The units that a server has: what no unit of a release may be called, and what their directories are."""

from __future__ import annotations

import glob
import os
import re
from typing import Dict, Iterator, Mapping

from .unit_file import Unreadable, in_the_end, read_unit

OUR_UNITS = "/etc/systemd/system"
RUN = "/run"
_UNIT_DIRECTORIES = (
    OUR_UNITS,
    "/etc/systemd/system.control",
    "/run/systemd/system",
    "/run/systemd/system.control",
    "/run/systemd/transient",
    "/run/systemd/generator",
    "/run/systemd/generator.early",
    "/run/systemd/generator.late",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
)
"""systemd.unit(5), for the system manager."""
_STATE = {
    "StateDirectory": "/var/lib",
    "RuntimeDirectory": "/run",
    "CacheDirectory": "/var/cache",
    "LogsDirectory": "/var/log",
}
"""systemd.exec(5)."""
_TRUE = ("1", "yes", "y", "true", "t", "on")


def known_units() -> Dict[str, str]:
    """Every name that a unit of this server has or takes when it is enabled, with the file that says so."""
    known: Dict[str, str] = {}
    for script in glob.glob("/etc/init.d/*"):
        known[os.path.basename(script) + ".service"] = script
    for directory in reversed(_UNIT_DIRECTORIES):
        for path in glob.glob(directory + "/*.*"):
            if os.path.isdir(path):
                continue
            known[os.path.basename(path)] = path
            known.update((alias, path) for alias in _aliases(path))
    return known


def _aliases(path: str) -> Iterator[str]:
    try:
        with open(path, "rb") as file:
            content = file.read()
        # a server has hundreds of units, and this is asked at every deployment: most of them name none
        said = read_unit(content) if b"Alias" in content else []
    except (OSError, Unreadable):
        return
    for line in said:
        if line.section == "Install" and line.key == "Alias":
            yield from line.value.split()


def state_directories(content: bytes) -> Iterator[str]:
    """Where a unit keeps what it writes, as paths; of one that unit_rules allow."""
    for line in read_unit(content):
        for name in line.value.split() if line.section == "Service" and line.key in _STATE else ():
            yield _STATE[line.key] + "/" + name


def socket_files(content: bytes) -> Iterator[str]:
    """Where a socket unit listens but for ports, one way to write each: files, and names that begin with @."""
    for line in read_unit(content):
        if line.section == "Socket" and line.key.startswith("Listen") and line.value[:1] in ("/", "%", "@"):
            yield re.sub("^(?:%t|/run|/var/run)/", RUN + "/", line.value)


def known_sockets(known: Mapping[str, str]) -> Dict[str, str]:
    """What socket units of this server listen on, with the unit that does; `known` as known_units has it."""
    found: Dict[str, str] = {}
    for unit in known:
        if unit.endswith(".socket"):
            try:
                with open(known[unit], "rb") as file:
                    found.update((listens, unit) for listens in socket_files(file.read()))
            except (OSError, Unreadable):
                continue
    return found


def made_account(unit: str, path: str) -> str:
    """The account that systemd makes for a service of this server (`DynamicUser=`), whoever's it is; else nothing."""
    try:
        with open(path, "rb") as file:
            content = file.read()
        said = read_unit(content) if b"DynamicUser" in content else []
    except (OSError, Unreadable):
        return ""
    if not any(value.lower() in _TRUE for value in in_the_end(said, "Service", "DynamicUser")[-1:]):
        return ""
    return (in_the_end(said, "Service", "User") or [unit.rpartition(".")[0].partition("@")[0]])[-1]

"""What the machine is, and whether it can carry what is to come."""

from __future__ import annotations

import os
import sys
import time
from typing import Any, Dict, Tuple

from .machine import Change, Machine, Operation
from .paths import Refused
from .tools import call

OLDEST_PYTHON = (3, 11)  # for which deploy.toml lets a release be built
WRITTEN = ("/etc", "/usr/local/lib", "/var/lib", "/opt", "/home")
"""Below which provisioning puts something on every server."""


def op_facts(machine: Machine, operation: Operation) -> Tuple[Change, Dict[str, Any]]:
    """What the machine is; refuses one that cannot carry what is to come."""
    facts: Dict[str, Any] = {
        "os": os_release(),
        "python": "%d.%d.%d" % sys.version_info[:3],
        "kernel": os.uname().release,
        "architecture": os.uname().machine,
        "memory": memory(),
        "cpus": os.cpu_count(),
        "disk": disk("/opt"),
        "clock": time.time(),
        "time_synchronised": call(["timedatectl", "show", "-p", "NTPSynchronized", "--value"])[1] == "yes",
        "init": os.path.basename(os.path.realpath("/proc/1/exe")) or "unknown",
        "address": os.environ.get("SSH_CONNECTION", "").split(" ")[2:3],
    }
    wanted = tuple(int(part) for part in operation["python"].split("."))
    if sys.version_info[: len(wanted)] < wanted:
        raise Refused(
            "This server has Python %d.%d, and %s or newer is needed. %s"
            % (sys.version_info[0], sys.version_info[1], operation["python"], way_out(sys.version_info[:2]))
        )
    if operation.get("architectures") and facts["architecture"] not in operation["architectures"]:
        raise Refused(
            'This server is %s, and the packages of the release are for %s. Build a release with architecture = "%s" '
            "in its deploy.toml for an environment of such servers, and provision with --release."
            % (facts["architecture"], " and ".join(operation["architectures"]), facts["architecture"])
        )
    if not os.path.isdir("/run/systemd/system"):
        raise Refused("This server does not run systemd, which starts and watches everything here.")
    if abs(facts["clock"] - operation["clock"]) > operation["clock_tolerance"]:
        raise Refused(
            "This server's clock differs from the portal's by %d s. Have both synchronised (timedatectl set-ntp true)."
            % abs(facts["clock"] - operation["clock"])
        )
    _refuse_without_room(facts["disk"]["free"], operation["free_bytes"])
    return ("", ""), facts


def _refuse_without_room(free: int, needed: int) -> None:
    """Before anything is changed: nothing can be put where nobody may write, or where nothing is left."""
    for path in filter(os.path.isdir, WRITTEN):
        if os.statvfs(path).f_flag & os.ST_RDONLY:
            raise Refused(
                "%s is mounted read-only, and provisioning writes there. Make it writable for the while: "
                "`mount -o remount,rw %s`." % (path, mount_point(path))
            )
    if free < needed:
        raise Refused("%d MB are free below /opt, and %d MB are needed." % (free >> 20, needed >> 20))


def way_out(python: Tuple[int, ...]) -> str:
    """What helps a server whose Python is older than a release's."""
    if python < OLDEST_PYTHON:
        return "Upgrade it (Debian 12 has 3.11, Debian 13 has 3.13)."
    return 'Build a release with python = "%d.%d" in its deploy.toml, or upgrade the server.' % python


def mount_point(path: str) -> str:
    """Where what holds a path is mounted (proc(5), mounts)."""
    with open("/proc/self/mounts", encoding="utf-8", errors="replace") as file:
        points = [line.split()[1] for line in file]
    return max((point for point in points if (path + "/").startswith(point.rstrip("/") + "/")), key=len, default="/")


def os_release() -> str:
    try:
        with open("/etc/os-release", encoding="utf-8") as file:
            lines = dict(line.rstrip().partition("=")[::2] for line in file)
    except OSError:
        return "unknown"
    return str(lines.get("PRETTY_NAME", "unknown")).strip('"')


def memory() -> int:
    """Bytes of memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def disk(path: str) -> Dict[str, int]:
    status = os.statvfs(path if os.path.isdir(path) else "/")
    return {"free": status.f_bavail * status.f_frsize, "total": status.f_blocks * status.f_frsize}

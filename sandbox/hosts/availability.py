"""Whether hosts can boot on this machine, and if not, why, in one sentence."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from . import store

PROGRAMS = {
    "systemd-nspawn": "systemd-container",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "losetup": "mount",
    "mkfs.ext4": "e2fsprogs",
    "resize2fs": "e2fsprogs",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
}
"""Needed to boot, and the Debian package each comes in."""

BUILDERS = {"debootstrap": "debootstrap"}
"""Needed as long as the Debian image is not built."""

CAP_NET_ADMIN, CAP_SYS_ADMIN, CAP_MKNOD = 12, 21, 27


def unavailable_reason() -> str | None:
    """One sentence that says what is missing for hosts to boot here; None when nothing is."""
    if sys.platform != "linux":
        return f"Hosts need Linux, and this is {sys.platform}."
    if os.geteuid() != 0:
        return "Hosts need root (namespaces, mounts, control groups), and this process has none."
    if _missing_capabilities():
        return "Hosts need a root that may make namespaces, mounts and devices, and this container's root may not."
    missing = {program: package for program, package in _needed().items() if shutil.which(program) is None}
    if missing:
        packages = " ".join(sorted(set(missing.values())))
        return f"Hosts need {', '.join(missing)}, not found on this machine: `apt-get install {packages}`."
    if not Path("/dev/net/tun").exists():
        return "Hosts need /dev/net/tun for their network cables, and this machine does not have it."
    if not os.access("/sys/fs/cgroup", os.R_OK) or "cgroup" not in Path("/proc/filesystems").read_text():
        return "Hosts need control groups at /sys/fs/cgroup, and this machine has none there."
    return None


def _needed() -> dict[str, str]:
    needed = dict(PROGRAMS)
    if not store.base().is_dir():
        needed.update(BUILDERS)
    if not store.cable_program().exists():
        needed["gcc"] = "gcc"
    return needed


def _missing_capabilities() -> bool:
    status = Path("/proc/self/status").read_text()
    effective = int(status.split("CapEff:")[1].split()[0], 16)
    return any(not effective >> capability & 1 for capability in (CAP_NET_ADMIN, CAP_SYS_ADMIN, CAP_MKNOD))

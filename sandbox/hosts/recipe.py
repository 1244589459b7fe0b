"""What the Debian images are made of, as data. A change here is a new image, beside the old one."""

from __future__ import annotations

import functools
import hashlib
import json
from dataclasses import dataclass

PACKAGES = (
    # a server
    *("systemd", "systemd-sysv", "dbus", "openssh-server", "sudo", "ca-certificates", "python3", "python3-venv"),
    *("iproute2", "procps", "curl", "rsync", "nftables", "netcat-openbsd"),
    # the roles portal and monitoring: hosts have no way to a Debian mirror, so `provision` finds these installed
    *("caddy", "prometheus", "prometheus-alertmanager", "postgresql-client"),
)

NOT_STARTED = ("caddy.service", "prometheus.service", "prometheus-alertmanager.service")
"""Installed, but off until somebody provisions the role."""

SERVICES = ("ufw", "firewalld", "fail2ban", "iptables", "python3-systemd", "libpam-systemd", "dropbear-bin")
"""What people run on servers beside what we need."""


@dataclass(frozen=True)
class Image:
    """A Debian release, and what is installed of it."""

    suite: str
    packages: tuple[str, ...] = PACKAGES
    not_started: tuple[str, ...] = NOT_STARTED


IMAGES = {
    "bare": Image("bookworm"),
    "debian-13": Image("trixie"),
    "database": Image("bookworm", (*PACKAGES, "postgresql")),
    "services": Image(
        "bookworm",
        (*PACKAGES, *SERVICES),
        (*NOT_STARTED, "ufw.service", "firewalld.service", "fail2ban.service"),
    ),
}
"""By the name of the layer that hosts stand on. Each is built when a host first asks for it; `bare` is what most do."""

MASKED = (
    # a host has no console, no hardware, no clock and no network of its own to manage
    *("getty.target", "getty-static.service", "getty@tty1.service", "console-getty.service", "systemd-udevd.service"),
    *(
        "systemd-udev-trigger.service",
        "systemd-timesyncd.service",
        "systemd-networkd.service",
        "systemd-resolved.service",
    ),
    *("systemd-logind.service", "systemd-random-seed.service", "systemd-sysctl.service", "systemd-pstore.service"),
    *(
        "systemd-update-utmp.service",
        "systemd-update-utmp-runlevel.service",
        "dev-hugepages.mount",
        "sys-kernel-debug.mount",
    ),
    *("ldconfig.service", "systemd-sysusers.service"),
    # nor anything to fetch, trim or scrub
    *(
        "apt-daily.timer",
        "apt-daily-upgrade.timer",
        "dpkg-db-backup.timer",
        "fstrim.timer",
        "systemd-tmpfiles-clean.timer",
    ),
    *("e2scrub_all.timer", "e2scrub_reap.service"),
)

REMOVED = (
    *("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/info", "usr/share/locale"),
    *("var/log/bootstrap.log", "var/log/dpkg.log", "var/log/apt"),
)

INIT = """\
#!/bin/sh
# The first process. On a machine with version 1 control groups the container manager hands the controllers over
# read-only, and systemd would then not enforce MemoryMax, TasksMax and CPUQuota.
for controller in /sys/fs/cgroup/memory /sys/fs/cgroup/pids /sys/fs/cgroup/cpu*; do
    if [ -d "$controller" ] && mountpoint -q "$controller"; then mount -o remount,bind,rw "$controller"; fi
done
exec /lib/systemd/systemd
"""

FILES = {
    "usr/lib/sandbox-init": INIT,
    "etc/systemd/journald.conf.d/sandbox.conf": "[Journal]\nStorage=persistent\nSystemMaxUse=64M\n",
    "etc/systemd/system.conf.d/sandbox.conf": "[Manager]\nDefaultTimeoutStopSec=10s\n",
    "etc/ssh/sshd_config.d/sandbox.conf": "PermitRootLogin prohibit-password\nPasswordAuthentication no\n",
    "etc/default/locale": "LANG=C.UTF-8\n",
    "etc/motd": "",
    "etc/resolv.conf": "",
    "etc/fstab": "",
    "etc/machine-id": "",
}
"""Path to content; what begins with a #! is made executable."""

DIRECTORIES = ("var/log/journal", "var/cache/apt/archives/partial", "var/lib/apt/lists/partial")


@functools.cache
def digest(image: str = "bare") -> str:
    """12 hexadecimal digits that name the image this recipe makes."""
    made = IMAGES[image]
    recipe = [made.suite, made.packages, made.not_started, MASKED, REMOVED, FILES, DIRECTORIES]
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:12]

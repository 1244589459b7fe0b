"""What hosts need of the machine's kernel beyond its defaults."""

from __future__ import annotations

import logging
from pathlib import Path

log = logging.getLogger("sandbox.hosts")

INOTIFY_INSTANCES = Path("/proc/sys/fs/inotify/max_user_instances")
INOTIFY_NEEDED = 1024
"""A host's systemd and what it starts hold seven inotify instances (measured: 26 hosts, 186), all of them root's. The
kernel's usual limit of 128 per user is used up by 17 hosts; the next one then hangs in its boot without a word."""


def make_room() -> None:
    """Raise the limit of inotify instances when it is too low for many hosts; it stays raised until a reboot."""
    if int(INOTIFY_INSTANCES.read_text()) >= INOTIFY_NEEDED:
        return
    try:
        INOTIFY_INSTANCES.write_text(str(INOTIFY_NEEDED))
    except OSError as error:
        log.warning("fs.inotify.max_user_instances stays low (%s): many hosts at once may not boot.", error.strerror)
    else:
        log.info("raised fs.inotify.max_user_instances to %d, until the next reboot", INOTIFY_NEEDED)

"""The unit files of the live release: a program of root's takes them over, and `current` says which."""

from __future__ import annotations

import errno
import json
import os
from typing import Any, List

from .errors import StepFailed
from .files import read_json, sha256_file
from .limits import SUDO, TAKE_TIMEOUT, Record
from .processes import Tools
from .tree import Tree

TAKE, TOLD = "take", "take-when-told"


def take_command(name: str, verb: str = TAKE) -> List[str]:
    """What the agent may run as root; commands.server_files puts the same lines into sudoers."""
    return ["/usr/bin/python3", "-I", "-S", "-B", "/usr/local/lib/cytube-ops/%s-units" % name, verb]


def ready_to_take(tree: Tree, tools: Tools) -> Any:
    """Have root's program come up while there is other work; it does nothing unless `take_units` tells it to."""
    ready = tools.start([*SUDO, *take_command(os.path.basename(tree.root), TOLD)], merge=False, feeding=True)
    ready.stderr.close()  # whatever keeps it from waiting, the one that is started in its place says
    return ready


def run_command(name: str) -> List[str]:
    """The same program, which runs one command as the application's account."""
    return take_command(name, "run")


def taken(tree: Tree) -> Record:
    """Root's record: which release's units systemd knows ("release") and what they are ("units").

    Empty on a server that was provisioned before units travelled with releases.
    """
    return dict(read_json("/var/lib/cytube-ops/%s.units" % os.path.basename(tree.root), {}))


def take_units(tree: Tree, tools: Tools, ready: Any = None) -> Record:
    """Have root make the units those of `current`. Raises StepFailed with root's sentence when it refuses them.

    `ready` is a program that waits for it already; one that has ended is done without.
    """
    command = take_command(os.path.basename(tree.root))
    code, output = tools.tell(ready, TAKE_TIMEOUT) if ready else (0, "")
    if not output:
        code, output = tools.call([*SUDO, *command], TAKE_TIMEOUT)
    if code != 0 and os.strerror(errno.ENOSPC) in output and tree.drop_ballast():
        code, output = tools.call([*SUDO, *command], TAKE_TIMEOUT)
    try:
        said = dict(json.loads(output.splitlines()[-1]))
    except (ValueError, TypeError, IndexError, RecursionError):
        said = {}
    if code != 0 or not said:
        why = said.get("sentence") or "'%s' ended with %d: %s" % (" ".join(command), code, output[-500:] or "no output")
        raise StepFailed("units_refused", "The units of the release were not taken over: %s" % why)
    return said


def check_units(roles: List[Record]) -> None:
    """Whether systemd has the units that the plan says. Raises StepFailed."""
    for role in roles:
        for unit, digest in role["unit_files"].items():
            try:
                found = sha256_file("/etc/systemd/system/" + unit)
            except OSError:
                found = ""
            if found != digest:
                raise StepFailed("units_differ", "The unit file %s of this server is not the release's." % unit)

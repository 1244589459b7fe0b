"""The list of what provisioning puts on a server for good, left with the server so that root can look at it again."""

import json
from collections.abc import Iterable, Sequence

from engine.commands.agent import source
from engine.commands.operation import Operation, file
from engine.commands.remote_command import RemoteCommand
from engine.host.provision.inventory import check_argv, list_path, program_path

_PASSING = frozenset({"facts", "unit_check", "authorized_key", "link", "pip", "compiled"})
"""Looks at the machine, what deployments, key rotations and updates of the system change without provisioning, and what
only saves time."""


def lasting_operations(operations: Iterable[Operation], name: str, units: Iterable[str]) -> list[Operation]:
    """Those whose result stays until provisioning changes it; `units` and the agent come with releases."""
    paths = {f"/etc/systemd/system/{unit}" for unit in units}
    return [
        _to_check(operation)
        for operation in operations
        if operation["op"] not in _PASSING
        and not (operation["op"] == "unit" and f"/etc/systemd/system/{operation['name']}" in paths)
        and not (operation["op"] == "file" and operation["path"] in paths)
        and not operation.get("path", "").startswith(f"/opt/{name}/.deploy/agent-")
    ]


def _to_check(operation: Operation) -> Operation:
    """A look restarts nothing, and of the units that a release brought it sees what root put beside them."""
    if operation["op"] == "unit":
        return {**operation, "restart_on": []}
    if operation["op"] == "units":
        return {**operation, "op": "bounds", "title": f"bounds of the units of {operation['name']}"}
    return operation


def inventory_files(operations: Sequence[Operation], name: str, units: Iterable[str]) -> list[Operation]:
    """The list, and the program that looks; root's alone."""
    content = json.dumps(lasting_operations(operations, name, units), sort_keys=True).encode()
    return [
        file(list_path(name), content, title="list of what provisioning put here", mode=0o600),
        file(program_path(name), source("provision"), title="program that looks at it", mode=0o600),
    ]


def check_command(name: str) -> RemoteCommand:
    """Have root look, as the account that deploys."""
    return RemoteCommand(("/usr/bin/sudo", "-n", *check_argv(name)))

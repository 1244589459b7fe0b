"""What a server needs to be deployable, as a list of operations for `host/provision/`."""

import base64
import hashlib
import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.commands import units_program
from engine.commands.inventory import inventory_files
from engine.commands.operation import Operation, file, kept_pip, unit
from engine.commands.server_files import (
    DEPLOY_USER,
    JOURNAL_LIMITS,
    firewall_unit,
    recover_unit,
    settle_unit,
    sudoers,
    units_unit,
)
from engine.host.provision.firewall import rules_path
from engine.host.provision.ownership import own_account
from engine.host.provision.unit_rules import generated_units

__all__ = [
    "DEPLOY_USER",
    "FIREWALL",
    "Operation",
    "ServerSetup",
    "confirmation",
    "operations",
    "unit_digests",
]

FIREWALL = "firewall"
FREE_BYTES = 300 << 20
"""Four times what the bot's release takes with its environment (65 MB, measured), and some air."""
CLOCK_TOLERANCE = 60.0  # seconds

# What systemd-analyze says about a unit whose first release has not arrived.
_BEFORE_A_RELEASE = ("is not executable: No such file or directory", "Failed to open /opt/")

_NAME = re.compile(r"[a-z][a-z0-9-]{1,30}")
_UNIT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,120}\.(?:service|socket|timer|path|target)")
_KEY = re.compile(r"(?:ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(?:256|384|521)) [A-Za-z0-9+/]+={0,2}(?: [ -~]*)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSetup:
    """What to make of a server.

    `deploys` is the account that deploys `name`: one of its own where the server holds other applications.
    `units` are the unit files of its `roles`, put there while no release is live: from then on each release brings its
    own; `started` those of them that run without a release (a timer, a proxy).
    `runs_as` names the accounts that each may run as, by default the tree's own. `public_keys` may deploy,
    `retired_keys` no longer may. `private_ports` are open to `allowed` addresses or networks only, `public_ports` to
    the world; with `strict` nothing else is open but the ways by which people sign in. `agent` is the agent's source,
    `clock` the portal's time.
    """

    name: str
    deploys: str = DEPLOY_USER
    units: Mapping[str, bytes]
    roles: Sequence[str] = ("bot",)
    runs_as: Mapping[str, Sequence[str]] = field(default_factory=dict)
    public_keys: Sequence[str]
    agent: bytes
    clock: float
    python: str = "3.11"
    architectures: Sequence[str] = ()
    started: Sequence[str] = ()
    packages: Sequence[str] = ()
    retired_keys: Sequence[str] = ()
    strict: bool = False
    private_ports: Sequence[int] = ()
    allowed: Sequence[str] = ()
    public_ports: Sequence[int] = ()
    extra: Sequence[Operation] = field(default_factory=tuple)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or self.name == DEPLOY_USER:
            raise ValueError(f"{self.name!r} cannot be the name of a tree and its account")
        if self.deploys not in (DEPLOY_USER, own_account(self.name)):
            raise ValueError(f"{self.deploys!r} deploys no {self.name}")
        for named in (*self.units, *self.started):
            if not _UNIT.fullmatch(named):
                raise ValueError(f"{named!r} is no name of a unit")
        for key in (*self.public_keys, *self.retired_keys):
            if not _KEY.fullmatch(key):
                raise ValueError("a public key is one line of type, base64 and comment")
        for address in self.allowed:
            ipaddress.ip_network(address)


def operations(setup: ServerSetup) -> list[Operation]:
    """Everything in the order it is done; each one leaves alone what is already as it should be.

    What lasts of it is left with the server as a list, which drift is found by.
    """
    before = [
        _facts(setup),
        ownership(setup.name),
        unit_check(setup.name, setup.units, setup.runs_as, _generated(setup)),
        *(_package(name) for name in ("python3-venv", "sudo", "nftables", *setup.packages)),
        kept_pip(setup.name),
        *_users(setup),
        *_tree(setup),
        *_agent(setup),
        *_units(setup),
    ]
    after = [_sudoers(setup), *_journal(setup), *setup.extra, *_firewall(setup)]
    return [*before, *inventory_files([*before, *after], setup.name, setup.units), *after]


def unit_digests(setup: ServerSetup) -> dict[str, str]:
    """sha256 of the unit files as they lie on the server afterwards; what a release's units are compared with."""
    return {name: hashlib.sha256(content).hexdigest() for name, content in setup.units.items()}


def ownership(name: str) -> Operation:
    """What of this application provisioning made there; everything after it touches nothing else."""
    return {"op": "ownership", "title": f"what is of {name}", "name": name}


def unit_check(
    name: str, units: Mapping[str, bytes], runs_as: Mapping[str, Sequence[str]], more: Iterable[str] = ()
) -> Operation:
    """Whether these units of a release may be installed, by what they say, and they and `more` by their names."""
    return {
        "op": "unit_check",
        "title": f"units of {name}",
        "name": name,
        "units": {unit: base64.b64encode(content).decode() for unit, content in units.items()},
        "runs_as": {unit: list(runs_as.get(unit, [name])) for unit in units},
        "more": sorted(more),
    }


def _generated(setup: ServerSetup) -> list[str]:
    return generated_units(setup.name)


def _facts(setup: ServerSetup) -> Operation:
    return {
        "op": "facts",
        "title": "the machine",
        "python": setup.python,
        "architectures": list(setup.architectures),
        "clock": setup.clock,
        "clock_tolerance": CLOCK_TOLERANCE,
        "free_bytes": FREE_BYTES,
    }


def _package(name: str) -> Operation:
    return {"op": "package", "title": f"package {name}", "name": name}


def _users(setup: ServerSetup) -> list[Operation]:
    return [
        _user(setup.deploys, f"/home/{setup.deploys}", "/bin/bash", system=False),
        _user(setup.name, f"/opt/{setup.name}", "/usr/sbin/nologin", system=True),
        *(
            {"op": "member", "title": f"{setup.deploys} in {group}", "user": setup.deploys, "group": group}
            for group in (setup.name, "systemd-journal")
        ),
        *(_key(setup.deploys, key, present=True) for key in setup.public_keys),
        *(_key(setup.deploys, key, present=False) for key in setup.retired_keys),
    ]


def _user(name: str, home: str, shell: str, *, system: bool) -> Operation:
    return {
        "op": "user",
        "title": f"user {name}",
        "name": name,
        "home": home,
        "shell": shell,
        "system": system,
        "create_home": not system,
    }


def _key(user: str, key: str, *, present: bool) -> Operation:
    comment = key.split(" ", 2)[2:] or ["without a comment"]
    title = f"key {comment[0]} {'may' if present else 'may not'} deploy"
    return {"op": "authorized_key", "title": title, "user": user, "key": key, "present": present}


def _tree(setup: ServerSetup) -> list[Operation]:
    """Who may do what: rosey deploys, the account of the application writes shared/data and nothing else."""
    root, deploy, name = f"/opt/{setup.name}", setup.deploys, setup.name
    rights = (
        (root, 0o755, deploy, deploy),
        (f"{root}/releases", 0o755, deploy, deploy),
        (f"{root}/envs", 0o755, deploy, deploy),
        (f"{root}/shared", 0o755, deploy, deploy),
        (f"{root}/shared/config", 0o2750, deploy, name),
        # setgid, so that deployments can copy what the application writes
        (f"{root}/shared/data", 0o2770, name, name),
        (f"{root}/shared/secrets", 0o700, deploy, deploy),
        (f"{root}/backups", 0o700, deploy, deploy),
        (f"{root}/.deploy", 0o700, deploy, deploy),
        (f"{root}/.deploy/manifests", 0o700, deploy, deploy),
    )
    return [
        {"op": "directory", "title": f"directory {path}", "path": path, "mode": mode, "owner": owner, "group": group}
        for path, mode, owner, group in rights
    ]


def _agent(setup: ServerSetup) -> list[Operation]:
    digest = hashlib.sha256(setup.agent).hexdigest()
    directory, name = f"/opt/{setup.name}/.deploy", f"agent-{digest}.py"
    link = {
        "op": "link",
        "title": "the agent that a boot starts",
        "path": f"{directory}/agent.py",
        "target": name,
        "owner": setup.deploys,
        "group": setup.deploys,
    }
    return [file(f"{directory}/{name}", setup.agent, title="the agent", owner=setup.deploys), link]


def _units(setup: ServerSetup) -> list[Operation]:
    name = setup.name
    ours = {
        f"{name}-recover.service": recover_unit(name, setup.deploys),
        f"{name}-units.service": units_unit(name),
        f"{name}-settle.service": settle_unit(name, setup.deploys),
    }
    put = [_unit_file(unit_name, content) for unit_name, content in ours.items()]
    for one, content in setup.units.items():
        beside = {other: text for other, text in setup.units.items() if other != one}
        put.append(_unit_file(one, content, before=name, beside=beside))
    started = [unit(unit_name, started=True if unit_name in setup.started else None) for unit_name in setup.units]
    taken = {"op": "units", "title": f"units of {name}, with bounds", "name": name, "roles": [*setup.roles]}
    return [*units_program.put(name), *put, *map(unit, ours), taken, *started]


def _unit_file(name: str, content: bytes, **more: Any) -> Operation:
    more |= {"title": f"unit file {name}", "validate": _verify(name), "tolerated": _BEFORE_A_RELEASE}
    return file(f"/etc/systemd/system/{name}", content, **more)


def _verify(name: str) -> list[str]:
    # a template cannot be looked at; what is no service, only with a service that it starts
    return [] if "@" in name or not name.endswith(".service") else ["systemd-analyze", "verify", "--man=no", "{}"]


def _sudoers(setup: ServerSetup) -> Operation:
    return file(
        f"/etc/sudoers.d/{setup.name}",
        sudoers(setup.name, setup.deploys),
        title=f"sudo for {setup.deploys}",
        mode=0o440,
        validate=("visudo", "-cqf", "{}"),
    )


def _journal(setup: ServerSetup) -> list[Operation]:
    path = f"/etc/systemd/journald.conf.d/{setup.name}.conf"
    return [
        file(path, JOURNAL_LIMITS, title="journal limits"),
        unit("systemd-journald.service", enabled=None, started=True, restart_on=[path]),
    ]


def _firewall(setup: ServerSetup) -> list[Operation]:
    """A table of our own, loaded at boot by a unit of our own. It comes last: strict rules wait for a confirmation."""
    service = f"{setup.name}-firewall.service"
    path = f"/etc/systemd/system/{service}"
    content = firewall_unit(setup.name, rules_path(setup.name))
    return [
        file(path, content, title=f"unit file {service}", validate=_verify(service)),
        unit(service),
        {
            "op": FIREWALL,
            "title": "firewall",
            "name": setup.name,
            "strict": setup.strict,
            "public": sorted(setup.public_ports),
            "private": sorted(setup.private_ports),
            "allowed": list(setup.allowed),
        },
    ]


def confirmation(name: str) -> list[Operation]:
    """What keeps strict rules that are on trial; whoever sends it has come in past them."""
    return [
        ownership(name),
        {"op": "firewall_confirmed", "title": "firewall", "name": name},
    ]

"""A run as data: everything the agent needs to know, and the form in which it travels."""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

PROTOCOL = 1
"""Version of what travels between portal and agent; the agent refuses any other."""

EXECUTABLE, PLAIN = 0o555, 0o444


class FileEntry(Protocol):
    """One file of a release, as `artifacts.manifest.ManifestFile` describes it."""

    @property
    def path(self) -> str:
        """Relative to the release, with forward slashes."""

    @property
    def mode(self) -> int:
        """Permission bits; only executability matters: files lie on servers as 0444 or 0555."""

    @property
    def sha256(self) -> str:
        """Hexadecimal."""

    @property
    def size(self) -> int:
        """Bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck:
    """Where a role says how it is.

    `url` is asked on the server itself; `samples` healthy answers in a row, `interval` seconds apart, within `timeout`
    seconds prove it.
    """

    url: str
    version_field: str | None = "version"
    connected_field: str | None = "connected"
    samples: int = 3
    interval: float = 0.1
    timeout: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DumpPlan:
    """A database that is no file: `dump` prints it, `restore` reads that."""

    name: str
    dump: Sequence[str]
    restore: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class RolePlan:
    """What one role of the server consists of.

    `units` in the order they are restarted; `unit_files` their sha256 as provisioned; `lock` the release's dependency
    lock (wheels lie in `wheels/<stem of the lock>/`); `check` an argument list run in the environment after it is
    built, where `{release}`, `{config}`, `{data}` and `{env}` in an argument become absolute paths; `databases`
    are SQLite files relative to shared/data; `watch` the seconds that each unit is watched for.
    """

    role: str
    units: Sequence[str]
    unit_files: Mapping[str, str] = field(default_factory=dict)
    lock: str | None = None
    env_digest: str | None = None
    check: Sequence[str] = ()
    health: HealthCheck | None = None
    secrets: Mapping[str, int] = field(default_factory=dict)
    databases: Sequence[str] = ()
    watch: Mapping[str, float] = field(default_factory=dict)
    dumps: Sequence[DumpPlan] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HookPlan:
    """A command at a `moment` of a run, as `account` in the surroundings of `role`; `back` undoes it in a revert."""

    moment: str
    role: str
    command: Sequence[str]
    back: Sequence[str] = ()
    deadline: float = 60.0
    account: str = "application"

    def to_wire(self) -> dict[str, Any]:
        """As the agent reads it."""
        wire = {key: getattr(self, key) for key in HookPlan.__slots__}
        return {**wire, "command": list(self.command), "back": list(self.back)}


@dataclass(frozen=True, slots=True)
class BaseRelease:
    """The release the portal believes the server runs; its files need not travel again."""

    release: str
    manifest: Sequence[FileEntry]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """One run of one deployment on one server.

    `fence` outdates every earlier attempt; `takeover` ends a running one with a lower fence. `expects` refuses the run
    unless the server runs exactly that release (None: whichever). `deadlines` in seconds by step, `deadline` for all
    of it; a step without one has what is left. `keep_backups`
    and `backup_days` bound the backups (None: as many as releases and two more, of any age). `python` is "3.11" style.
    `pins` are releases that pruning keeps, beside
    the newest `keep`. `require_connected`: "auto" asks for it unless the role was not connected before either. `actor`,
    `approved_by` and `reason` are for the journal.
    """

    name: str
    deployment: str
    fence: int
    release: str
    version: str
    manifest: Sequence[FileEntry]
    roles: Sequence[RolePlan]
    config: Mapping[str, bytes]
    deadlines: Mapping[str, float]
    deadline: float
    python: str
    base: BaseRelease | None = None
    expects: str | None = None
    takeover: bool = False
    pins: Sequence[str] = ()
    keep: int = 5
    keep_backups: int | None = None
    backup_days: int | None = None
    require_connected: Literal["auto", "yes", "no"] = "auto"
    actor: str = ""
    approved_by: Sequence[str] = ()
    reason: str = ""
    hooks: Sequence[HookPlan] = ()

    @property
    def config_digest(self) -> str:
        """sha256 that names the configuration's directory on the server."""
        return config_digest(self.config)

    def missing(self) -> list[FileEntry]:
        """The files the server is not believed to have, one per content."""
        return missing(self.manifest, self.base)

    def to_wire(self) -> dict[str, Any]:
        """As the agent reads it."""
        wire: dict[str, Any] = {key: getattr(self, key) for key in _PLAIN}
        wire["protocol"] = PROTOCOL
        wire["root"] = f"/opt/{self.name}"
        wire["manifest"] = manifest_rows(self.manifest)
        wire["base"] = None
        if self.base:
            wire["base"] = {"release": self.base.release, "manifest_digest": manifest_digest(self.base.manifest)}
        wire["roles"] = [role_to_wire(role) for role in self.roles]
        files = {name: base64.b64encode(content).decode() for name, content in sorted(self.config.items())}
        wire["config"] = {"digest": self.config_digest, "files": files}
        wire["deadlines"] = dict(self.deadlines)
        wire["pins"] = list(self.pins)
        wire["hooks"] = [hook.to_wire() for hook in self.hooks]
        wire["approved_by"] = list(self.approved_by)
        wire["need_bytes"] = sum(entry.size for entry in self.missing())
        return wire


def missing(manifest: Sequence[FileEntry], base: BaseRelease | None) -> list[FileEntry]:
    """The files of a manifest that a server with this base is not believed to have, one per content."""
    known = {entry.sha256 for entry in base.manifest} if base else set()
    wanted: dict[str, FileEntry] = {}
    for entry in manifest:
        if entry.sha256 not in known:
            wanted.setdefault(entry.sha256, entry)
    return list(wanted.values())


_PLAIN = [
    "name",
    "deployment",
    "fence",
    "takeover",
    "release",
    "version",
    "expects",
    "deadline",
    "python",
    "keep",
    "keep_backups",
    "backup_days",
    "require_connected",
    "actor",
    "reason",
]


def role_to_wire(role: RolePlan) -> dict[str, Any]:
    """As the agent reads it."""
    health = role.health
    return {
        "role": role.role,
        "units": list(role.units),
        "unit_files": dict(role.unit_files),
        "lock": role.lock,
        "env_digest": role.env_digest,
        "check": list(role.check),
        "health": None if health is None else {key: getattr(health, key) for key in HealthCheck.__slots__},
        "secrets": dict(role.secrets),
        "databases": list(role.databases),
        "watch": dict(role.watch),
        "dumps": [{"name": d.name, "dump": list(d.dump), "restore": list(d.restore)} for d in role.dumps],
    }


def manifest_rows(manifest: Sequence[FileEntry]) -> list[list[str | int]]:
    """Path, mode on the server, sha256 and size of every file, in order of path."""
    rows: list[list[str | int]] = [
        [entry.path, EXECUTABLE if entry.mode & 0o111 else PLAIN, entry.sha256, entry.size] for entry in manifest
    ]
    return sorted(rows, key=lambda row: str(row[0]))


def manifest_digest(manifest: Sequence[FileEntry]) -> str:
    """sha256 of the rows as the server stores them."""
    return hashlib.sha256(json.dumps(manifest_rows(manifest), separators=(",", ":")).encode()).hexdigest()


def config_digest(files: Mapping[str, bytes]) -> str:
    """sha256 over names and contents of rendered configuration files."""
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    return hashlib.sha256(json.dumps(hashes, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

"""Which sets exist on this machine: one record each, in a directory that does not outlive a reboot, just like the
hosts.

The records are what makes a choice of name, slot and network free of races, and what is needed to take a set down by
somebody who knows nothing else of it: its guardian, `down`, or `sweep`.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from ipaddress import IPv4Network
from pathlib import Path

from . import cgroups, network
from .errors import SetTaken
from .processes import ProcessId, run, wait_until

DIRECTORY = Path("/run/cytube-ops-portal/hosts")
SLOTS = 10_000
"""As many as leave room for a host's number in the name of a tap device (15 characters)."""


@dataclass(frozen=True)
class Record:
    """One set of hosts."""

    name: str
    slot: int
    """Number that no other set has, nor had a short while ago: it names the bridge, the tap devices and the control
    groups, and the kernel takes its time to forget a name."""
    network: str
    directory: str
    groups: tuple[str, ...]
    """The set's control group in every hierarchy."""
    token: str
    """Tells this set from a later one that is like it in everything else."""
    owner: str
    """The process the set belongs to, as `str(ProcessId)`; empty for a detached set, which belongs to nobody."""

    @property
    def path(self) -> Path:
        """The record's file."""
        return DIRECTORY / f"{self.slot}.json"

    @property
    def net(self) -> IPv4Network:
        """The network."""
        return IPv4Network(self.network)

    @property
    def state(self) -> Path:
        """The set's directory."""
        return Path(self.directory)

    @property
    def dead(self) -> bool:
        """Whether the set belonged to a process that is gone."""
        return bool(self.owner) and not ProcessId.parse(self.owner).alive()

    def cgroup(self, member: str) -> list[Path]:
        """The control groups of a member: `cables` or a host."""
        return [Path(group) / member for group in self.groups]


@contextlib.contextmanager
def _locked(name: str = "lock") -> Iterator[None]:
    DIRECTORY.mkdir(parents=True, exist_ok=True, mode=0o755)
    with (DIRECTORY / name).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def records() -> list[Record]:
    """Every set, by slot."""
    found = []
    for path in DIRECTORY.glob("*.json"):
        with contextlib.suppress(FileNotFoundError):  # taken down at this moment
            fields = json.loads(path.read_text())
            found.append(Record(**{**fields, "groups": tuple(fields["groups"])}))
    return sorted(found, key=lambda record: record.slot)


def find(name: str) -> Record | None:
    """The set of that name."""
    return next((record for record in records() if record.name == name), None)


def claim(name: str, directory: Path, wanted: IPv4Network | None, owner: ProcessId | None) -> Record:
    """Give a new set its slot and its network. Raises SetTaken, NetworkTaken."""
    with _locked():
        existing = records()
        for other in existing:
            if other.name == name or other.state == directory:
                whose = f"process {other.owner.split()[0]}" if other.owner else "nobody: it is detached"
                raise SetTaken(
                    f"The set {other.name!r} in {other.directory} is up and belongs to {whose}.",
                    hint="Choose another name and directory, or take it down first.",
                )
        slot = _next_slot({other.slot for other in existing})
        taken = [*network.in_use(), *(other.net for other in existing)]
        if wanted is not None:
            network.check_free(wanted, taken)
        record = Record(
            name=name,
            slot=slot,
            network=str(wanted or network.free(taken)),
            directory=str(directory),
            groups=tuple(str(base / network.bridge_name(slot)) for base in cgroups.here()),
            token=secrets.token_hex(8),
            owner=str(owner) if owner else "",
        )
        fresh = record.path.with_suffix(".new")
        fresh.write_text(json.dumps(asdict(record)))
        fresh.rename(record.path)
        return record


def _next_slot(used: set[int]) -> int:
    counter = DIRECTORY / "last-slot"
    last = int(counter.read_text()) if counter.exists() else -1
    slot = next(number % SLOTS for number in range(last + 1, last + 1 + SLOTS) if number % SLOTS not in used)
    counter.write_text(str(slot))
    return slot


def demolish(record: Record) -> None:
    """Take down everything of a set: processes (and with them mounts and networks), control groups, bridge, disks,
    files, record.

    May be called again, and by two at once: one does it, and what is gone is fine. Raises DeadlinePassed.
    """
    with _locked(f"{record.slot}.lock"):
        if record not in records():
            return
        cgroups.remove([Path(group) for group in record.groups])
        network.remove_bridge(record.slot)
        for device in _loops(record.state):  # whoever ended before its mount left one attached
            run(["losetup", "--detach", device], check=False)
        wait_until(lambda: not _loops(record.state), deadline=10, what="for the kernel to let go of small disks")
        wait_until(lambda: _removed(record.state), deadline=10, what=f"for {record.state} to go away")
        record.path.unlink()
        (DIRECTORY / f"{record.slot}.lock").unlink()  # whoever waits for it finds the record gone


def _loops(directory: Path) -> list[str]:
    listed = run(["losetup", "--list", "--noheadings", "--raw", "--output", "NAME,BACK-FILE"]).stdout.decode()
    devices = (line.partition(" ") for line in listed.splitlines())
    return [name for name, _, file in devices if file.startswith(f"{directory}/")]


def _removed(directory: Path) -> bool:
    shutil.rmtree(directory, ignore_errors=True)
    return not directory.exists()

"""A set of hosts on a network of its own."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from . import cgroups, guardian, image, kernel, keys, layers, network, registry, store
from .availability import unavailable_reason
from .cable import ensure_program
from .errors import DirectoryRefused, HostUnknown, SetUnknown, Unavailable
from .host import BOOT_DEADLINE, Host
from .processes import ProcessId
from .registry import Record

log = logging.getLogger("sandbox.hosts")


class HostSet:
    """Hosts 1 to N on one bridge. Several sets live side by side, of one process or of many.

    A set belongs to the process that calls `up` and is taken down with it, however that process ends; a detached one
    stays until somebody takes it down. As a context manager it is taken down at the end of the block.
    """

    def __init__(
        self, name: str, directory: Path | None = None, network: str | None = None, *, detached: bool = False
    ) -> None:
        """Nothing happens yet.

        `directory` is made, and removed with the set; `network` is a /24 (`10.1.2.0/24`), or chosen.
        """
        if not layers.NAME.fullmatch(name):
            raise ValueError(
                f"{name!r} is no name for a set: lower-case letters, digits, dots, underscores and dashes."
            )
        self.name = name
        self.detached = detached
        self._directory = directory
        self._wanted = network
        self._record: Record | None = None
        self._guardian: subprocess.Popen[bytes] | None = None

    @classmethod
    def attach(cls, name: str) -> HostSet:
        """A set that is up, whoever owns it. Raises SetUnknown."""
        record = registry.find(name)
        if record is None:
            raise SetUnknown(
                f"No set of hosts named {name!r} is up.", hint="`python -m sandbox hosts up 2` boots one of two hosts."
            )
        found = cls(name, record.state, record.network, detached=True)
        found._record = record
        return found

    @staticmethod
    def names() -> list[str]:
        """Every set that is up on this machine."""
        return [record.name for record in registry.records()]

    @staticmethod
    def sweep() -> list[str]:
        """Take down the sets whose owner is gone and whose guardian was killed too; their names."""
        dead = [record for record in registry.records() if record.dead]
        for record in dead:
            registry.demolish(record)
        return [record.name for record in dead]

    def __enter__(self) -> HostSet:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()

    @property
    def record(self) -> Record:
        """What is known of the set on this machine. Raises SetUnknown before `up`."""
        if self._record is None:
            raise SetUnknown(f"The set {self.name!r} is not up.", hint="Call up() first.")
        return self._record

    @property
    def gateway(self) -> str:
        """This machine's address on the set's bridge."""
        return network.gateway(self.record.net)

    @property
    def network(self) -> str:
        """The set's network, as `10.1.2.0/24`."""
        return self.record.network

    @property
    def bootstrap_key(self) -> Path:
        """The private key that root lets in on every host of this set."""
        return self.record.state / "key"

    @property
    def hosts(self) -> list[Host]:
        """Every host of the set, with power or without."""
        numbers = sorted(int(path.name[4:]) for path in self.record.state.glob("host[0-9]*"))
        return [Host(self.record, number) for number in numbers]

    def host(self, number: int) -> Host:
        """One host, from 1 on. Raises HostUnknown."""
        for host in self.hosts:
            if host.number == number:
                return host
        raise HostUnknown(
            f"The set {self.name!r} has no host {number}.",
            hint=f"It has {len(self.hosts)}; `up {number}` adds to them.",
        )

    def up(self, count: int, layer: str = layers.BARE) -> list[Host]:
        """Have hosts 1 to count on and answering ssh. New ones stand on `layer`; those that are up stay as they are.

        Raises Unavailable, ImageFailed, LayerUnknown, SetTaken, NetworkTaken, DirectoryRefused, BootFailed. When a
        new set does not come up, nothing of it stays.
        """
        if not 1 <= count <= network.MOST_HOSTS:
            raise ValueError(f"A set has 1 to {network.MOST_HOSTS} hosts, not {count}.")
        reason = unavailable_reason()
        if reason is not None:
            raise Unavailable(reason)
        image.ensure_image(layers.image_of(layer))
        ensure_program()
        layers.stack(layer)
        kernel.make_room()
        fresh = self._record is None
        try:
            if fresh:
                self._claim()
            return self._boot(count, layer)
        except BaseException:
            if fresh:
                self.down()
            raise

    def down(self) -> None:
        """Take everything down: processes, networks, mounts, control groups, files.

        Without `up` before: nothing to do.
        """
        if self._record is not None:
            registry.demolish(self._record)
            self._record = None
        if self._guardian is not None:
            guardian.dismiss(self._guardian)
            self._guardian = None

    def _claim(self) -> None:
        HostSet.sweep()
        directory = self._directory or store.cache() / "sets" / self.name
        if self._directory is not None and directory.exists() and any(directory.iterdir()):
            raise DirectoryRefused(f"{directory} is not empty.", hint="Name a new one, it is removed with the set.")
        wanted = network.parse(self._wanted) if self._wanted else None
        owner = None if self.detached else ProcessId.self()
        store.check_path(directory.absolute())
        self._record = registry.claim(self.name, directory.absolute(), wanted, owner)
        if not self.detached:
            self._guardian = guardian.start(self.name)
        if self._directory is None:
            shutil.rmtree(directory, ignore_errors=True)  # of a set that a reboot ended
        store.usable(directory)
        keys.create(self.bootstrap_key, f"bootstrap@{self.name}")
        cgroups.create(self._record.cgroup("cables"))
        network.create_bridge(self._record.slot, self._record.net)

    def _boot(self, count: int, layer: str) -> list[Host]:
        began = time.monotonic()
        hosts = [Host(self.record, number) for number in range(1, count + 1)]
        boots = []
        for host in hosts:
            machine = host.machine
            if not machine.directory.exists():
                machine.directory.mkdir()
                machine.layer = layer
            if not host.on:
                log.info("booting %s (%s)", host.name, host.address)
                boots.append(host.begin_boot())
        for boot in boots:
            boot.finish(BOOT_DEADLINE)
        for host in hosts:
            host.wait_ready()
        if boots:
            log.info("%d host%s up in %.1f s", len(hosts), "s" * (len(hosts) != 1), time.monotonic() - began)
        return hosts


def ensure_layer(name: str, provision: Callable[[Host], None], *, below: str = layers.BARE) -> str:
    """Make sure a layer of that name is saved, by provisioning one host and saving it; the name, for `HostSet.up`.

    Of several processes one provisions and the others wait for it. Whatever `provision` raises passes through, and
    nothing is saved. A name that says what was provisioned (a digest of it) makes sure that nobody gets something
    older.
    """
    with contextlib.ExitStack() as stack:
        image.ensure_image()
        stack.enter_context(store.locked(f"layer-{name}.lock"))
        if name not in layers.saved_layers():
            hosts = stack.enter_context(HostSet(f"layer-{os.getpid()}"))
            (host,) = hosts.up(1, below)
            provision(host)
            host.save_layer(name)
    return name

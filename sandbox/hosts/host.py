"""One host of a set, as those see it who work with it."""

from __future__ import annotations

import secrets
import shutil
import socket
import subprocess
from collections.abc import Sequence
from dataclasses import replace

from . import keys, layers, network
from .cable import LinkProfile
from .disk import parse_size
from .errors import HostsError
from .machine import Boot, Machine
from .processes import run, wait_until
from .registry import Record

BOOT_DEADLINE = 60.0
"""Seconds. A host boots in about one; a busy machine gets a minute."""

ENVIRONMENT = (
    "env",
    "-i",
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME=/root",
    "LC_ALL=C.UTF-8",
)
NOT_IN_A_LAYER = ("etc/hostname", "etc/hosts", "etc/machine-id", "root/.ssh/authorized_keys")


class Host:
    """A Debian server, 12 unless its layer is of another. Comes from `HostSet`."""

    port = 22
    """Where sshd listens."""

    def __init__(self, record: Record, number: int) -> None:
        self.number = number
        self.name = f"host{number}"
        self.address = network.address(record.net, number)
        self._record = record
        self.machine = Machine(self.name, record.state / self.name, record.cgroup(self.name))

    def __repr__(self) -> str:
        return f"<Host {self.name} {self.address} of {self._record.name!r}>"

    @property
    def on(self) -> bool:
        """Whether it has power."""
        return self.machine.on

    @property
    def host_key(self) -> str:
        """Its ed25519 public key line, `ssh-ed25519 AAAA…`."""
        return keys.public_line(self.machine.upper / "etc/ssh/ssh_host_ed25519_key")

    @property
    def fingerprint(self) -> str:
        """`SHA256:…` of its key."""
        return keys.fingerprint(self.host_key)

    def root(
        self, argv: Sequence[str], input: bytes = b"", check: bool = True, deadline: float = 60.0
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a program inside as root, without ssh, at most `deadline` seconds.

        Raises CommandFailed, DeadlinePassed, HostOff.
        """
        command = self.root_command(argv)
        return run(command, input=input, check=check, deadline=deadline, where=f"on {self.name}", named=argv[0])

    def root_command(self, argv: Sequence[str]) -> list[str]:
        """The command on this machine that runs `argv` inside as root."""
        return ["nsenter", "-t", str(self.machine.leader), "-m", "-u", "-i", "-n", "-p", "-C", *ENVIRONMENT, *argv]

    def ssh_command(self, *argv: str) -> list[str]:
        """The command on this machine that runs `argv` over ssh as root, with the bootstrap key and the pinned host
        key.
        """
        known_hosts = self.machine.directory / "known_hosts"
        known_hosts.write_text(f"{self.address} {self.host_key}\n")
        options = [
            "StrictHostKeyChecking=yes",
            f"UserKnownHostsFile={known_hosts}",
            "IdentitiesOnly=yes",
            "LogLevel=ERROR",
        ]
        spelled = [word for option in options for word in ("-o", option)]
        return ["ssh", "-F", "none", "-i", str(self._record.state / "key"), *spelled, f"root@{self.address}", *argv]

    # the cable

    def latency(self, ms_rtt: float) -> None:
        """Milliseconds of round trip, half of it each way; 0 takes it away. Holds for the next frame."""
        self.machine.cable.profile = self.machine.cable.profile.with_latency(ms_rtt)

    def loss(self, percent: float) -> None:
        """Percent of frames lost each way. 100 is a black hole: no answer, no reset, nothing."""
        self.machine.cable.profile = self.machine.cable.profile.with_loss(percent)

    def rate(self, kbit: float) -> None:
        """Kilobits per second each way; 0 for no limit. Half a second of backlog, then frames are dropped."""
        self.machine.cable.profile = self.machine.cable.profile.with_rate(kbit)

    def clear(self) -> None:
        """No latency, no loss, no limit. A cable that is out stays out."""
        self.machine.cable.profile = LinkProfile(plugged=self.machine.cable.profile.plugged)

    def link(self, up: bool) -> None:
        """Cable in, or cable out: connections hang, and go on if it comes back before they time out."""
        self.machine.cable.profile = replace(self.machine.cable.profile, plugged=up)

    # the disk

    def disk(self, size: str, path: str = "/opt/rosey-bot") -> None:
        """Let the tree at path have `size` (`30M`) in all, what is in it included; more is a real "No space left on
        device".

        The first call moves the tree onto a disk of its own: files that a service has open then are still the old
        ones, so call it before the service starts, or restart the service. Later calls only change the room. Survives
        `power_off`.
        """
        limit = parse_size(size)
        placed = self.machine.disk.path
        if placed is None:
            self.machine.disk.create(self.root, path)
        elif placed != path:
            raise HostsError(
                f"The small disk of {self.name} is at {placed}; a host has one.", hint=f"Use path={placed!r}."
            )
        self.machine.disk.limit(self.root, limit)

    def disk_off(self) -> None:
        """Room again (4 GB in all).

        The tree stays where it is, with all that was written. Without a small disk: nothing to do.
        """
        if self.machine.disk.path is not None:
            self.machine.disk.limit(self.root, 0)

    # power

    def power_off(self) -> None:
        """A power cut: every process ends at once (SIGKILL), memory file systems are gone, the disk stays.

        Nobody is told: connections hang, and a host that is off answers nothing. What a real power cut does beyond
        that cannot be shown here: the kernel lives on, so data that no program has synced to disk is not lost. Who
        wants to prove that it was synced must look at the calls.
        """
        self.machine.power_off()

    def stop(self) -> None:
        """An orderly shutdown."""
        self.machine.stop()

    def power_on(self, deadline: float = BOOT_DEADLINE) -> None:
        """Boot the same disk, wait until systemd inside says it is ready (which works with the cable out, too).

        Raises BootFailed.
        """
        if not self.on:
            self.begin_boot().finish(deadline)

    def begin_boot(self) -> Boot:
        """Begin to boot, to do several hosts at once; `Boot.finish` waits."""
        self._identify()
        if self.machine.cable.running() is None:
            tap = network.tap_name(self._record.slot, self.number)
            pid = self.machine.cable.start(tap, self._record.cgroup("cables"))
            network.connect(self._record.slot, self.number, self._record.net, pid)
        return self.machine.boot()

    def wait_ready(self, deadline: float = BOOT_DEADLINE) -> None:
        """Wait until sshd greets over the network, at most `deadline` seconds. Raises DeadlinePassed."""
        wait_until(self._greets, deadline=deadline, what=f"for {self.name} to answer ssh on {self.address}")

    def _greets(self) -> bool:
        try:
            with socket.create_connection((self.address, self.port), timeout=1) as connection:
                greeting = connection.recv(4)
                # Leave the way sshd expects it, or it writes an error into the journal.
                connection.sendall(b"SSH-2.0-sandbox\r\n")
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(4096):
                    continue
                return greeting == b"SSH-"
        except OSError:
            return False

    def save_layer(self, name: str) -> None:
        """Stop in good order, and keep what was changed on this host as a layer that other sets can boot copies of.

        The host's keys, name and journal do not go into the layer. It may be powered on again, and then stands on the
        layer itself. Raises LayerTaken, ValueError for a bad name, HostsError with a small disk, whose content is not
        part of a layer.
        """
        layers.check_new(name)
        if self.machine.disk.path is not None:
            raise HostsError(f"{self.name} has a small disk, whose content cannot go into a layer.", hint="Save first.")
        self.stop()
        upper = self.machine.upper
        kept = self.machine.directory / "identity"
        shutil.copytree(
            upper / "etc/ssh", kept, ignore=lambda _, names: [n for n in names if not n.startswith("ssh_host_")]
        )
        for secret in [*(upper / "etc/ssh").glob("ssh_host_*"), *(upper / path for path in NOT_IN_A_LAYER)]:
            secret.unlink(missing_ok=True)
        for journal in (upper / "var/log/journal").glob("*"):
            shutil.rmtree(journal)
        layers.add(name, upper, self.machine.layer)
        shutil.rmtree(self.machine.directory / "work")
        (upper / "etc").mkdir(parents=True)
        shutil.move(kept, upper / "etc/ssh")
        self.machine.layer = name

    def _identify(self) -> None:
        """Its keys, its name, and the way in for the set's key, in the layer of its own changes."""
        upper = self.machine.upper
        for directory, mode in (("etc", 0o755), ("etc/ssh", 0o755), ("root", 0o700), ("root/.ssh", 0o700)):
            (upper / directory).mkdir(mode=mode, parents=True, exist_ok=True)
        keys.create(upper / "etc/ssh/ssh_host_ed25519_key", f"root@{self.name}")
        (upper / "etc/hostname").write_text(f"{self.name}\n")
        (upper / "etc/hosts").write_text(f"127.0.0.1 localhost\n{self.address} {self.name}\n")
        identity = upper / "etc/machine-id"
        if not identity.exists():
            identity.write_text(f"{secrets.token_hex(16)}\n")
        authorized = upper / "root/.ssh/authorized_keys"
        if not authorized.exists():
            authorized.write_text(f"{keys.public_line(self._record.state / 'key')} bootstrap\n")
            authorized.chmod(0o600)

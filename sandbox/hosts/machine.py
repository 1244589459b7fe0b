"""The machinery below one host: its file system, its container manager, its first process."""

from __future__ import annotations

import contextlib
import json
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from . import cgroups, layers
from .cable import Cable
from .disk import HOME, Disk
from .errors import BootFailed, HostOff
from .processes import ProcessId, wait_until

LAUNCHER = Path(__file__).with_name("launcher.py")
KILL_DEADLINE = 20.0
STOP_DEADLINE = 30.0
"""Seconds for an orderly stop; systemd inside gives every service 10."""


class Machine:
    """Powers one host on and off. All it knows is in the host's directory, so any process may do it."""

    def __init__(self, name: str, directory: Path, groups: list[Path]) -> None:
        self.name = name
        self.directory = directory
        self.groups = groups
        self.upper = directory / "upper"
        self.cable = Cable(directory)
        self.disk = Disk(directory)
        self._manager = directory / "manager.process"
        self._leader = directory / "leader.process"
        self._layer = directory / "layer"

    @property
    def layer(self) -> str:
        """The layer the host stands on."""
        return self._layer.read_text()

    @layer.setter
    def layer(self, layer: str) -> None:
        self._layer.write_text(layer)

    @property
    def on(self) -> bool:
        """Whether the host's first process lives."""
        return self._alive(self._leader) is not None

    @property
    def leader(self) -> int:
        """This machine's id of the host's first process. Raises HostOff."""
        identity = self._alive(self._leader)
        if identity is None:
            raise HostOff(f"{self.name} has no power.", hint="Power it on first.")
        return identity.pid

    def _alive(self, path: Path) -> ProcessId | None:
        with contextlib.suppress(FileNotFoundError):
            identity = ProcessId.parse(path.read_text())
            return identity if identity.alive() else None
        return None

    def power_off(self) -> None:
        """End every process at once. The cable first: what the kernel says for those who die must not be heard."""
        self.cable.cut()
        cgroups.kill(self.groups)
        # A first process leaves its group before the kernel is done with it, and so with the mounts it held.
        wait_until(lambda: not self.on, deadline=KILL_DEADLINE, what=f"for {self.name} to go away")

    def stop(self) -> None:
        """An orderly shutdown. What has not ended in time is killed, and DeadlinePassed raised."""
        manager = self._alive(self._manager)
        try:
            if manager is not None:
                manager.kill(signal.SIGTERM)  # the container manager asks systemd to power off
                wait_until(lambda: not manager.alive(), deadline=STOP_DEADLINE, what=f"for {self.name} to shut down")
        finally:
            self.power_off()

    def boot(self) -> Boot:
        """Begin to boot; `Boot.finish` waits for the end of it."""
        return Boot(self)

    def plan(self) -> dict[str, object]:
        """What the launcher is to do."""
        cable = self.cable.running()
        if cable is None:
            raise BootFailed(f"The network cable of {self.name} is gone.", hint="Power it on again.")
        command = ["systemd-nspawn", "--quiet", "--keep-unit", "--register=no", "--console=pipe", "--notify-ready=yes"]
        command += ["--kill-signal=SIGRTMIN+3", "--resolv-conf=off", "--timezone=off", "--link-journal=no"]
        command += ["--capability=CAP_NET_ADMIN"]  # a firewall of its own
        command += [f"--machine={self.name}", "--directory=/run/host-root"]
        command += [f"--network-namespace-path=/proc/{cable.pid}/ns/net", "/usr/lib/sandbox-init"]
        return {
            "groups": [str(group / "cgroup.procs") for group in self.groups],
            "lower": ":".join(str(path) for path in layers.stack(self.layer)),
            "upper": str(self.upper),
            "work": str(self.directory / "work"),
            "root": str(self.directory / "root"),
            "disk": [str(self.disk.image), HOME, self.disk.path] if self.disk.path else None,
            "command": command,
        }

    def remember(self, manager: int, leader: int | None) -> None:
        """Keep who runs the host, for other processes."""
        for path, pid in ((self._manager, manager), (self._leader, leader)):
            identity = ProcessId.of(pid) if pid is not None else None
            if identity is not None:
                path.write_text(str(identity))

    def last_words(self) -> str:
        """The end of what the host wrote on its console."""
        with contextlib.suppress(FileNotFoundError):
            return " / ".join((self.directory / "console").read_text(errors="replace").split("\n")[-6:]).strip(" /")
        return ""


class Boot:
    """One start of a host, from the container manager to the moment systemd says that it is ready."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._words = b""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        for name in ("upper", "work", "root"):
            (machine.directory / name).mkdir(exist_ok=True)
        cgroups.create(machine.groups)
        address = f"cytube-hosts-{secrets.token_hex(8)}"
        self._socket.bind(f"\0{address}")
        with (machine.directory / "console").open("wb") as console:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(LAUNCHER), json.dumps(machine.plan())],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "NOTIFY_SOCKET": f"@{address}"},
                start_new_session=True,
            )
        machine.remember(self._process.pid, None)
        threading.Thread(target=self._process.wait, daemon=True, name=f"reaper of {machine.name}").start()

    def finish(self, deadline: float) -> None:
        """Wait until systemd inside says it is ready: every service that starts at boot was started.

        Raises BootFailed.
        """
        end = time.monotonic() + deadline
        with self._socket:
            self._socket.settimeout(0.1)
            while b"READY=1" not in self._words.split(b"\n"):
                if self._process.poll() is not None:
                    raise BootFailed(f"{self._machine.name} ended while booting: {self._machine.last_words()}.")
                if time.monotonic() > end:
                    raise BootFailed(
                        f"{self._machine.name} was not ready after {deadline:g} s: {self._machine.last_words()}."
                    )
                with contextlib.suppress(TimeoutError):
                    self._words += self._socket.recv(4096) + b"\n"
        leader = next(word for word in self._words.split(b"\n") if word.startswith(b"X_NSPAWN_LEADER_PID="))
        self._machine.remember(self._process.pid, int(leader.split(b"=")[1]))

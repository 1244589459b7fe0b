"""What can go wrong with the sandbox's hosts, for a person and for a program.

HostsError
├── Unavailable        this machine cannot boot hosts at all
├── ImageFailed        the Debian image or the cable program could not be built
├── SetTaken           a set of that name is up and belongs to somebody who is alive
├── SetUnknown         no set of that name is up
├── NetworkTaken       no network is free, or the wanted one is used by something else
├── DirectoryRefused   the state directory cannot be used
├── HostUnknown        the set has no host of that number
├── HostOff            the host has no power, so nothing can be run in it
├── BootFailed         the host did not come up
├── DeadlinePassed     something took longer than it was allowed to
├── LayerUnknown       no saved layer of that name
├── LayerTaken         a saved layer of that name exists
└── CommandFailed      a program, on this machine or inside a host, said no
"""

from __future__ import annotations

from collections.abc import Sequence


class HostsError(Exception):
    """Base of every error here. `reason` says what happened and what it means, `hint` what to do next."""

    def __init__(self, reason: str, *, hint: str = "") -> None:
        super().__init__(f"{reason} {hint}".strip())
        self.reason = reason
        self.hint = hint


class Unavailable(HostsError):
    """This machine cannot boot hosts: see `unavailable_reason`."""


class ImageFailed(HostsError):
    """The Debian image or the cable program could not be built."""


class SetTaken(HostsError):
    """A set of that name is up and its owner is alive."""


class SetUnknown(HostsError):
    """No set of that name is up."""


class NetworkTaken(HostsError):
    """No network is free, or the wanted one is used by something else on this machine."""


class DirectoryRefused(HostsError):
    """The state directory holds other things, or its path cannot be given to overlayfs."""


class HostUnknown(HostsError):
    """The set has no host of that number."""


class HostOff(HostsError):
    """The host has no power."""


class BootFailed(HostsError):
    """The host's first process ended, or never said it was ready."""


class DeadlinePassed(HostsError):
    """Something took longer than its deadline."""


class LayerUnknown(HostsError):
    """No saved layer of that name."""


class LayerTaken(HostsError):
    """A saved layer of that name exists; layers are never overwritten, hosts may be running on them."""


class CommandFailed(HostsError):
    """A program ended with an exit code other than 0. Its output is at hand, unshortened."""

    def __init__(self, argv: Sequence[str], returncode: int, stdout: bytes, stderr: bytes, *, where: str) -> None:
        said = (stderr or stdout).decode(errors="replace").strip().splitlines()
        super().__init__(f"`{argv[0]}` {where} ended with exit code {returncode}: {said[-1] if said else 'no output'}.")
        self.argv = tuple(argv)
        self.returncode = returncode
        self.stdout = stdout
        self.stderr = stderr

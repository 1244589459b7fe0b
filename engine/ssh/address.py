"""Where a server is, and by which way it is reached, as values."""

import re
from dataclasses import dataclass
from typing import Self

from engine.errors import InvalidRequest
from engine.ssh.keys import HostKey

_JUMP = re.compile(
    r"(?P<user>[a-z_][a-z0-9_.-]{0,31})@(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._-]{1,253}))(?::(?P<port>\d{1,5}))?"
)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is, who we are there, and what it must prove to be; `jump` is the host in front of it."""

    host: str
    port: int
    user: str
    host_key: HostKey
    jump: "Address | None" = None

    def __str__(self) -> str:
        return account_at(self.user, self.host, self.port)


@dataclass(frozen=True, slots=True)
class JumpHost:
    """A host that others are reached through: its account and address."""

    user: str
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """From user@host, user@host:port or user@[address]:port. Raises InvalidRequest."""
        said = _JUMP.fullmatch(text)
        port = int(said["port"] or 22) if said else 0
        if said is None or not 0 < port < 65536:
            raise InvalidRequest(
                f"{text!r} is no jump host.", hint="Give user@host, user@host:port or user@[address]:port."
            )
        return cls(said["user"], said["six"] or said["name"], port)

    def proven(self, host_key: HostKey) -> Address:
        """With the key that it has to show."""
        return Address(self.host, self.port, self.user, host_key)

    def __str__(self) -> str:
        return account_at(self.user, self.host, self.port)


def account_at(user: str, host: str, port: int) -> str:
    """user@host:port, as `JumpHost.parse` reads it."""
    return f"{user}@{place(host, port)}"


def place(host: str, port: int) -> str:
    """host:port, with brackets around an address that has colons."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

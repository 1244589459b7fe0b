"""What listens on this server for others: ports and programs, and by which ports people sign in."""

from __future__ import annotations

import glob
import os
import re
from typing import Dict, Iterator, List, NamedTuple, Optional, Set

_LISTENING = {"tcp": "0A", "tcp6": "0A", "udp": "07", "udp6": "07"}
"""The state of a socket that waits for strangers, per table below /proc/net (proc(5), net/tcp_states.h)."""
_SIGN_IN = ("sshd", "dropbear")
_DHCP = {("udp", 68), ("udp", 546)}
"""Where answers to this machine's own questions for an address arrive."""


class Listener(NamedTuple):
    """A port that other machines can reach, and the program behind it."""

    protocol: str
    port: int
    program: str

    def __str__(self) -> str:
        return "%d/%s (%s)" % (self.port, self.protocol, self.program)


def listeners() -> List[Listener]:
    """Everything that waits for connections or datagrams on an address that is not this machine's own loopback."""
    inodes: Dict[str, Set[Listener]] = {}
    for table, state in _LISTENING.items():
        for row in _rows("/proc/net/" + table):
            address, _, port = row[1].rpartition(":")
            if row[3] == state and not _loopback(address):
                inodes.setdefault(row[9], set()).add(Listener(table[:3], int(port, 16), "?"))
    programs = _programs(set(inodes))
    there = {
        Listener(listener.protocol, listener.port, programs.get(inode, "?"))
        for inode, found in inodes.items()
        for listener in found
    }
    return sorted(there, key=lambda listener: (listener.port, listener.protocol, listener.program))


def _rows(path: str) -> Iterator[List[str]]:
    try:
        with open(path, encoding="ascii") as file:
            next(file, None)
            for line in file:
                yield line.split()
    except FileNotFoundError:
        return  # a kernel without IPv6


def _loopback(address: str) -> bool:
    """The kernel writes addresses as words of its own byte order: 127.0.0.1 is 0100007F."""
    if len(address) == 8:
        return address.endswith("7F")
    mapped = address.startswith("0000000000000000FFFF0000") and address.endswith("7F")
    return mapped or address == "00000000000000000000000001000000"


def _programs(inodes: Set[str]) -> Dict[str, str]:
    """The name of a process per socket; the lowest process number, where several share one."""
    found: Dict[str, str] = {}
    for path in sorted(glob.glob("/proc/[0-9]*"), key=lambda path: int(path.rpartition("/")[2])):
        held = inodes & set(_sockets(path))
        try:
            with open(path + "/comm", encoding="utf-8", errors="replace") as file:
                name = file.read().strip()
        except OSError:
            continue  # it has ended meanwhile
        for inode in held:
            found.setdefault(inode, name)
    return found


def _sockets(process: str) -> Iterator[str]:
    """The inodes of the sockets that a process has open."""
    for link in glob.glob(process + "/fd/*"):
        try:
            target = os.readlink(link)
        except OSError:
            continue  # it was closed meanwhile
        if target.startswith("socket:["):
            yield target[8:-1]


def sign_in_ports(there: List[Listener], sockets: str) -> Set[int]:
    """The ports of every sshd here and the one that this very connection came by.

    `sockets` is what `systemctl show -p Listen` says of ssh.socket: systemd listens there in sshd's place.
    """
    ports = {listener.port for listener in there if listener.program in _SIGN_IN and listener.protocol == "tcp"}
    ports |= {int(port) for port in re.findall(r":(\d+) \(Stream\)", sockets)}
    came_by = _came_by()
    return ports | ({came_by} if came_by else set())


def _came_by() -> Optional[int]:
    """The port of this server in SSH_CONNECTION, of this process or one above it: sudo takes the variable away."""
    process = os.getpid()
    while process > 1:
        try:
            with open("/proc/%d/environ" % process, "rb") as file:
                said = re.search(rb"(?:^|\0)SSH_CONNECTION=\S+ \d+ \S+ (\d+)(?:\0|$)", file.read())
            with open("/proc/%d/stat" % process, "rb") as file:
                above = int(file.read().rpartition(b")")[2].split()[1])
        except OSError:
            return None
        if said:
            return int(said.group(1))
        process = above
    return None


def shut_out(there: List[Listener], open_ports: Set[int]) -> List[Listener]:
    """Which of these nobody reaches any more once only `open_ports` (TCP) and answers are let in."""
    return [
        listener
        for listener in there
        if (listener.protocol, listener.port) not in _DHCP
        and not (listener.protocol == "tcp" and listener.port in open_ports)
    ]

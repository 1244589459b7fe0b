"""Ports of this machine: who listens, and connecting to one.

Of `socket` only what is written in C is used: importing the rest takes longer than all questions of a run.
"""

from __future__ import annotations

import os
import struct
from typing import Any, Dict, List, Optional, Tuple


def connect(host: str, port: int, timeout: float) -> Any:
    """A connected TCP socket, to be closed. Raises OSError."""
    import _socket

    failure = OSError("no address")
    for family, kind, protocol, _, address in _socket.getaddrinfo(host, port, 0, _socket.SOCK_STREAM):
        sock = _socket.socket(family, kind, protocol)
        try:
            sock.settimeout(timeout)
            sock.connect(address)
            return sock
        except OSError as error:
            sock.close()
            failure = error
    raise failure


def listener(port: int) -> Optional[Tuple[int, int]]:
    """Who listens on a TCP port of this machine: uid and cgroup id (0: the kernel does not tell); None for nobody.

    sock_diag(7) instead of /proc/<pid>/fd, which only the owner and root may read. INET_DIAG_CGROUP_ID is 21.
    """
    import _socket

    request_header = struct.Struct("=IHHII")
    for family in (_socket.AF_INET, _socket.AF_INET6):
        body = struct.pack("=BBBBI", family, _socket.IPPROTO_TCP, 0, 0, 1 << 10)
        body += struct.pack(">HH", port, 0) + bytes(36) + b"\xff" * 8
        sock = _socket.socket(_socket.AF_NETLINK, _socket.SOCK_DGRAM, 4)  # 4: NETLINK_SOCK_DIAG
        try:
            sock.settimeout(2.0)
            sock.send(request_header.pack(16 + len(body), 20, 0x301, 1, 0) + body)  # SOCK_DIAG_BY_FAMILY, dump
            found = _heard(sock, port)
        finally:
            sock.close()
        if found:
            return found
    return None


def _heard(sock: Any, port: int) -> Optional[Tuple[int, int]]:
    while True:
        data = sock.recv(1 << 16)
        while len(data) >= 16:
            length, kind = struct.unpack_from("=IH", data)
            if kind in (2, 3):  # NLMSG_ERROR, NLMSG_DONE
                return None
            message, data = data[16:length], data[(length + 3) & ~3 :]
            if struct.unpack_from(">H", message, 4)[0] == port:
                return struct.unpack_from("=I", message, 64)[0], _attribute(message[72:], 21)


def _attribute(data: bytes, wanted: int) -> int:
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        if kind == wanted and length >= 12:
            return int(struct.unpack_from("=Q", data, 4)[0])
        data = data[max(4, (length + 3) & ~3) :]
    return 0


def owns_port(port: int, shown: List[Dict[str, str]], units: List[str]) -> Optional[bool]:
    """Whether the listening socket belongs to one of these units; None when nobody listens."""
    found = listener(port)
    if found is None:
        return None
    uid, cgroup = found
    if any(unit.endswith(".socket") for unit in units) and uid == 0:
        return True  # systemd itself opened it for the socket unit
    if cgroup:
        known: set[int] = set()
        for unit in shown:
            for base in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified"):
                top = base + unit.get("ControlGroup", "")
                if unit.get("ControlGroup") and os.path.isdir(top):
                    known.update(os.stat(path).st_ino for path, _, _ in os.walk(top))
        if known:
            return cgroup in known
    for unit in shown:
        try:
            if os.stat("/proc/%s" % unit.get("MainPID", "0")).st_uid == uid:
                return True
        except OSError:
            continue
    return False

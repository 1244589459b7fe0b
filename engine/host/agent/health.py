"""What a role answers at its health URL, and what it should."""

from __future__ import annotations

import json
import time
from typing import Any, Optional, Tuple

from .limits import BLOCK, HEALTH_URL, PROBE_TIMEOUT, Record
from .sockets import connect


def dig(body: Any, dotted: Optional[str]) -> Any:
    """A field of a JSON answer, "a.b" for one inside another."""
    for key in (dotted or "").split("."):
        body = body.get(key) if isinstance(body, dict) else None
    return body


def probe(health: Record, timeout: float = PROBE_TIMEOUT) -> Record:
    """One question to a role's health URL. `http.client` would cost more time to import than all of this to run."""
    host, port, path = HEALTH_URL.fullmatch(health["url"]).groups()  # type: ignore[union-attr]  # checked on arrival
    ends = time.monotonic() + timeout
    try:
        sock = connect(host, int(port), timeout)
        try:
            sock.sendall(
                b"GET %s HTTP/1.0\r\nHost: %s:%s\r\nUser-Agent: deployment-agent\r\nAccept: application/json\r\n\r\n"
                % ((path or "/").encode(), host.encode(), port.encode())
            )
            answer = b""
            while len(answer) < BLOCK:
                sock.settimeout(max(0.001, ends - time.monotonic()))
                block = sock.recv(1 << 16)
                if not block:
                    break
                answer += block
        finally:
            sock.close()
    except OSError as error:
        return {"answered": False, "error": error.strerror or str(error)}
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    try:
        status = int(lines[0].split(" ")[1])
        content = json.loads(body)
    except (ValueError, IndexError):
        return {"answered": False, "error": "the answer on port %s is no JSON over HTTP" % port}
    connected = dig(content, health["connected_field"]) if health["connected_field"] else None
    return {
        "answered": True,
        "status": status,
        "version": dig(content, health["version_field"]) if health["version_field"] else None,
        "release": headers.get("x-release"),
        "connected": None if not health["connected_field"] else connected is True,
        "why": headers.get("x-reason", ""),
    }


class Expectation:
    """What a role must show: which version and release, and whether it has to be connected."""

    def __init__(self, role: Record, version: Optional[str], release: Optional[str], connected: bool) -> None:
        self.role = role
        self.version = version
        self.release = release
        self.connected = connected

    def problem(self, seen: Record) -> Optional[Tuple[str, str]]:
        """What is wrong with an answer: a stable word and a sentence; None when it is as it should be."""
        name = self.role["role"]
        if not seen["answered"]:
            return "no_answer", "The %s does not answer at %s (%s)." % (name, self.role["health"]["url"], seen["error"])
        if self.version is not None and self.role["health"]["version_field"] and str(seen["version"]) != self.version:
            return "wrong_version", "The %s says it runs version %s, not %s." % (name, seen["version"], self.version)
        if self.release is not None and seen["release"] not in (None, self.release):
            return "wrong_release", "The %s says it runs release %s, not %s." % (name, seen["release"], self.release)
        if seen["connected"] is False:
            why = " (%s)" % seen["why"] if seen["why"] else ""
            return "not_connected", "The %s runs but is not connected%s." % (name, why)
        if seen["status"] != 200:
            return "unhealthy", "The %s answers with HTTP status %d." % (name, seen["status"])
        return None

    def tolerates(self, reason: str) -> bool:
        """Whether a role may go on with this problem, once it has had a moment."""
        return reason == "not_connected" and not self.connected

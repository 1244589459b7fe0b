"""The bot as a systemd service: readiness, watchdog, status line."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping

from botcore import markup


class Service:
    """Messages to systemd. Says nothing when systemd does not listen, as in a terminal.

    The protocol is one datagram of `NAME=value` to the socket in NOTIFY_SOCKET (sd_notify(3); a leading @ stands for
    the abstract namespace). It is spoken here because the package for it is published without a wheel, and servers
    install wheels only.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._last = ""
        try:
            self.watchdog_seconds = int(environ.get("WATCHDOG_USEC", "0")) / 1_000_000
        except ValueError:
            self.watchdog_seconds = 0.0

    def ready(self) -> None:
        """Health listens: the service is up, whether CyTube is or not."""
        self._notify("READY=1")

    def stopping(self) -> None:
        """The service is going down."""
        self._notify("STOPPING=1")

    def status(self, line: str) -> None:
        """The line that `systemctl status` shows."""
        line = markup.one_line(line)  # a second line would be another message to systemd
        if line != self._last:
            self._last = line
            self._notify(f"STATUS={line}")

    def alive(self) -> None:
        """The event loop turns."""
        self._notify("WATCHDOG=1")

    def _notify(self, message: str) -> None:
        if not self._address:
            return
        # systemd that does not listen is no reason for the bot to stop
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(message.encode(), self._address)

"""The bot as a systemd service: readiness, watchdog, status line."""

from __future__ import annotations

import os
from collections.abc import Mapping

import sdnotify


class Service:
    """Messages to systemd. Says nothing when systemd does not listen, as in a terminal."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._notifier = sdnotify.SystemdNotifier()
        self._last = ""
        try:
            self.watchdog_seconds = int(environ.get("WATCHDOG_USEC", "0")) / 1_000_000
        except ValueError:
            self.watchdog_seconds = 0.0

    def ready(self) -> None:
        """Health listens: the service is up, whether CyTube is or not."""
        self._notifier.notify("READY=1")

    def stopping(self) -> None:
        """The service is going down."""
        self._notifier.notify("STOPPING=1")

    def status(self, line: str) -> None:
        """The line that `systemctl status` shows."""
        if line != self._last:
            self._last = line
            self._notifier.notify(f"STATUS={line}")

    def alive(self) -> None:
        """The event loop turns."""
        self._notifier.notify("WATCHDOG=1")

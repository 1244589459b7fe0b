"""The health document: exactly eight fields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

from botcore.room import Room
from botcore.status import Status
from botcore.telemetry import Telemetry

# A bot whose event loop does not turn hears and answers nobody, whatever the server still believes.
STUCK_SECONDS = 10.0


class HealthDocument(TypedDict):
    """The eight fields of `/api/health`, in the order in which they are shown."""

    status: str
    connected: bool
    channel: str
    uptime: float
    version: str
    user_count: int
    requests: int
    errors: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the health thread reads. Every part is immutable or only ever grows."""

    status: Status
    room: Room
    channel: str
    version: str
    release: str
    telemetry: Telemetry
    queue_length: int
    dropped_writes: int

    @property
    def connected(self) -> bool:
        """In the room, and able to act there."""
        return self.status.connected and self.telemetry.loop_lag < STUCK_SECONDS

    @property
    def response_ms(self) -> float | None:
        """The median of how long CyTube took to answer in the last ten minutes; None when it has not been asked."""
        median = self.telemetry.response(0.5)
        return None if median is None else round(median * 1000, 1)

    @property
    def reason(self) -> str:
        """Why the bot is not connected; "" when it is."""
        if self.connected:
            return ""
        if self.status.connected:
            return f"the event loop has been stuck for {self.telemetry.loop_lag:.0f} s"
        return self.status.reason

    def document(self) -> HealthDocument:
        """The body of `/api/health` and of every heartbeat."""
        connected = self.connected
        return {
            "status": "connected" if connected else "disconnected",
            "connected": connected,
            "channel": self.channel,
            "uptime": round(self.telemetry.uptime, 1),
            "version": self.version,
            "user_count": self.room.people if connected else 0,
            "requests": self.telemetry.requests,
            "errors": self.telemetry.error_count,
        }

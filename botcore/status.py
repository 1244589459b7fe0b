"""Whether the bot is in the room, and the words for it. Values: any thread may read them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Status:
    """Where the connection stands. `since` is a time.monotonic() stamp; `reason` says why it is not connected."""

    connected: bool
    since: float
    reason: str = ""
    retry_in: float | None = None

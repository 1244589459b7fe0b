"""Tells the portal how the bot is. The portal being away never disturbs the bot."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime

import aiohttp
from pydantic import SecretStr

from botcore.health.document import Snapshot
from botcore.telemetry import Telemetry

log = logging.getLogger(__name__)

EVERY_SECONDS = 10.0
AT_MOST_EVERY = 1.0
TIMEOUT = 5.0
GOODBYE_TIMEOUT = 0.5
LONGEST_WAIT = 120.0


class Heartbeat:
    """Posts the health document to `<portal>/api/v1/heartbeats` every ten seconds and on change."""

    def __init__(self, *, snapshot: Callable[[], Snapshot], telemetry: Telemetry) -> None:
        self._url = ""
        self._token: SecretStr | None = None
        self._snapshot = snapshot
        self._telemetry = telemetry
        self._changed = asyncio.Event()
        self._aimed = asyncio.Event()
        self._failures = 0
        self._said = ""

    def aim(self, portal_url: str | None, token: SecretStr | None) -> None:
        """Report to this portal from now on, or to nobody when one of the two is not given."""
        if portal_url is None or token is None:
            self._url, self._token = "", None
            log.info("no portal address or no token: the bot does not report")
        else:
            self._url, self._token = f"{portal_url.rstrip('/')}/api/v1/heartbeats", token
        self._failures, self._said = 0, ""
        self._aimed.set()

    def changed(self) -> None:
        """Something a person waits for changed: send at once, but not more than once a second."""
        self._changed.set()

    async def run(self) -> None:
        """Send until cancelled."""
        async with self._http(TIMEOUT) as http:
            while True:
                self._changed.clear()
                self._aimed.clear()
                if self._token is None:
                    await self._aimed.wait()
                    continue
                sent = time.monotonic()
                await self._send(http, self._token, goodbye=False)
                await self._pause(sent)

    async def goodbye(self) -> None:
        """One last heartbeat from a bot that stops, for at most half a second; nothing when the portal is away."""
        if self._token is None or self._failures:
            return
        async with self._http(GOODBYE_TIMEOUT) as http:
            await self._send(http, self._token, goodbye=True)

    async def _pause(self, sent: float) -> None:
        """Wait for the next turn or a change; while the portal is away, ever longer and for a new address only."""
        awaited, wait = self._changed, EVERY_SECONDS
        if self._failures:
            awaited = self._aimed
            wait = min(LONGEST_WAIT, EVERY_SECONDS * 2.0 ** min(self._failures - 1, 10))
            wait *= random.uniform(0.75, 1.0)  # noqa: S311  jitter, not a secret
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await awaited.wait()
        await asyncio.sleep(max(0.0, sent + AT_MOST_EVERY - time.monotonic()))

    async def _send(self, http: aiohttp.ClientSession, token: SecretStr, *, goodbye: bool) -> None:
        now = self._snapshot()
        body = {
            "health": now.document(),
            "release": now.release,
            "sent_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "response_ms": now.response_ms,
            "goodbye": goodbye,
        }
        headers = {"Authorization": f"Bearer {token.get_secret_value()}"}
        try:
            async with http.post(self._url, json=body, headers=headers, allow_redirects=False) as response:
                status = response.status
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            self._outcome("unreachable", f"The portal cannot be reached ({type(error).__name__}). Trying again.")
            return
        if 200 <= status < 300:
            self._failures = 0
            self._said = ""
            self._telemetry.heartbeats["delivered"] += 1
        elif status in {401, 403}:
            self._outcome("refused", f"The portal refuses our token (HTTP {status}). Renew the secret portal-token.")
        else:
            self._outcome("failed", f"The portal answered a heartbeat with HTTP {status}. Trying again.")

    def _outcome(self, kind: str, sentence: str) -> None:
        """Count a failure, and log the first of its kind in a row."""
        self._failures += 1
        self._telemetry.heartbeats[kind] += 1
        if kind != self._said:
            self._said = kind
            log.warning(sentence)

    def _http(self, timeout: float) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=timeout))

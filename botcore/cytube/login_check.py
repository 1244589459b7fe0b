"""`--check --login`: whether the running bot would be let in, tried out."""

from __future__ import annotations

import aiohttp

from botcore.config import Health, Settings
from botcore.credentials import Credentials
from botcore.cytube import resolve
from botcore.cytube.connection import CONNECT_SECONDS, identity
from botcore.cytube.session import Session
from botcore.cytube.wire import Wire
from botcore.errors import BotError

HEALTH_SECONDS = 2.0
# What an address means that listens everywhere.
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104


async def try_login(settings: Settings, credentials: Credentials) -> None:
    """Sign in and leave, to prove that the settings work.

    Refused while the same account is in the room, because signing in would put that session out. Some rooms show who is
    inside to nobody without a name or the password; then the bot that listens where ours would is asked.
    Raises SessionError, or BotError for the refusal.
    """
    who = identity(settings, credentials)
    deadline = max(CONNECT_SECONDS, settings.response_timeout)
    session = Session(who, _Deaf(), timeout=settings.response_timeout)
    async with aiohttp.ClientSession() as http:
        url = await resolve.socket_server(http, settings.domain, who.channel, timeout=deadline)
        wire = Wire(http, on_event=session.received, on_close=session.disconnected)
        try:
            refusal = await session.join_only(wire, url, connect_timeout=deadline)
            inside = session.room.user(who.name) is not None
            if inside or (refusal is not None and await _runs_here(http, settings.health, who.channel)):
                raise BotError(
                    f"{who.name} is in {who.channel} now; signing in here would put that session out.",
                    hint="Stop the bot first, or trust its health.",
                )
            await session.sign_in(refusal)
        finally:
            await wire.close()


async def _runs_here(http: aiohttp.ClientSession, health: Health, channel: str) -> bool:
    """Whether a bot on this machine says that it is in the room."""
    host = _ANYWHERE.get(health.host, health.host)
    url = f"http://{f'[{host}]' if ':' in host else host}:{health.port}/api/health"
    timeout = aiohttp.ClientTimeout(total=HEALTH_SECONDS)
    try:
        async with http.get(url, timeout=timeout, allow_redirects=False) as response:
            document = await response.json()
    except (aiohttp.ClientError, OSError, ValueError, TimeoutError):
        return False
    return isinstance(document, dict) and document.get("connected") is True and document.get("channel") == channel


class _Deaf:
    """Listens to nothing."""

    def heard(self, session: Session, event: str, data: object, before: object) -> None:
        """Nothing to do: only the answers to our own questions count here."""

    def rejected(self, event: str, error: BotError) -> None:
        """Nothing to do: an odd event does not matter to a login check."""

"""Answering `/api/health` for a bot: what it says now, else what it said last.

However many processes and requests there are, a bot is asked once a second at most: see `health.shared_cache`. While
one caller asks, the others get the answer before, for a few seconds at most.
"""

import time
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils import timezone

from dashboard.errors import BotSilent, BotUnreachable, InvalidHealthResponse
from dashboard.health import service, upstream
from dashboard.health.document import HealthDocument, disconnected, parse
from dashboard.health.shared_cache import Entry, SharedCache
from dashboard.models import BotState
from deployments.models import Server
from engine.errors import NotFound

PRODUCTION = "@production"  # no server can have this name
STALE_SECONDS = 4.0  # an answer this old is still given while somebody else asks: longer than one question takes
_REASON_LIMIT = 200


def cache() -> SharedCache:
    """Where this portal's processes share their answers."""
    return _cache_in(settings.STATE_DIR)


def answer(name: str) -> Entry:
    """The answer for the server `name`, or PRODUCTION; raises NotFound when no such bot is enrolled."""
    return cache().fresh(name) or _refresh(name)


@lru_cache(maxsize=4)
def _cache_in(state_dir: Path) -> SharedCache:
    return SharedCache(state_dir / "health")


def _refresh(name: str) -> Entry:
    answers = cache()
    now = time.monotonic()
    old = answers.read(name)
    timeout = 0.0 if old is not None and old.age(now) < STALE_SECONDS else upstream.DEADLINE + 0.5
    with answers.refresh_lock(name, wait=timeout) as lock:
        if current := answers.fresh(name):
            return current
        old = answers.read(name)
        if lock is None and old is not None:
            return old
        try:
            server = _server(name)
        except NotFound:
            answers.forget(name)
            raise
        if name == PRODUCTION:
            entry = answer(server.name)
        elif lock is None or not lock.may_ask(time.monotonic()):
            return _from_heartbeat(server, BotUnreachable("The bot was asked a moment ago and has not answered yet."))
        else:
            lock.asking(time.monotonic())
            entry = _ask(server)
        answers.write(name, entry)
        return entry


def _server(name: str) -> Server:
    enrolled = Server.objects.exclude(state=Server.State.RETIRED)
    if name == PRODUCTION:
        candidates = enrolled.filter(environment__name="production").order_by(
            "environment__order", "environment_id", "order", "name"
        )
        sentence = "No bot is enrolled in production."
    else:
        candidates = enrolled.filter(name=name)
        sentence = "No bot of that name is enrolled."
    for server in candidates:
        if "bot" in server.roles:
            return server
    raise NotFound(sentence, hint="The status page lists every bot.")


def _ask(server: Server) -> Entry:
    try:
        said = upstream.fetch(*address_of(server))
        document = parse(said.body) if server.service == Server.Service.BOT else of_service(server, said)
        if document.connected != (said.status == 200):
            raise InvalidHealthResponse("The status code of the bot's health answer contradicts its body.")
    except BotSilent as error:
        return _from_heartbeat(server, error)
    headers = {"X-Source": "bot"}
    if said.release:
        headers["X-Release"] = said.release
    if not document.connected:
        away = "The bot is not in its room." if server.service == Server.Service.BOT else "The service is not well."
        headers["X-Reason"] = said.reason or away
    return _entry(said.status, document, headers)


def of_service(server: Server, said: upstream.Answer) -> HealthDocument:
    """What an answer says of a service; its release's version, and how long it has answered, if it does not say."""
    release, state = server.current_release, getattr(server, "bot_state", None)
    uptime = (timezone.now() - state.changed_at).total_seconds() if state and state.connected else 0.0
    return service.read(said, version=release.version if release else "", uptime=max(0.0, uptime))


def address_of(server: Server) -> tuple[str, int, str]:
    """Where the bot listens, as the last deployment recorded it; only ever on the enrolled host."""
    facts: Any = server.facts.get("health") if isinstance(server.facts, dict) else None
    port = facts.get("port") if isinstance(facts, dict) else None
    path = facts.get("path", "/api/health") if isinstance(facts, dict) else ""
    if not isinstance(port, int) or not 0 < port < 65536 or not isinstance(path, str) or not path.startswith("/"):
        raise BotUnreachable("Nothing has been deployed here yet, so the bot's address is not known.")
    if not path.isascii() or not path.isprintable() or " " in path:
        raise BotUnreachable("The recorded health path is not usable; deploy again.")
    return server.host, port, path


def _from_heartbeat(server: Server, error: BotSilent) -> Entry:
    """503 with the fields of the last heartbeat: what section 7 of the contract promises for a bot out of reach."""
    state = BotState.objects.filter(server=server).first()
    headers = {"X-Reason": error.message[:_REASON_LIMIT], "X-Source": "heartbeat" if state else "none"}
    if state is None:
        return _entry(503, disconnected(), headers)
    if state.release:
        headers["X-Release"] = state.release
    document = disconnected(
        channel=state.channel,
        uptime=state.uptime,
        version=state.version,
        user_count=state.user_count,
        requests=state.requests,
        errors=state.errors,
    )
    silence = max(0.0, (timezone.now() - state.heard_at).total_seconds())
    return _entry(503, document, headers, heard=time.monotonic() - silence)


def _entry(status: int, document: HealthDocument, headers: dict[str, str], heard: float | None = None) -> Entry:
    return Entry(status, document.model_dump_json().encode(), headers, time.monotonic(), heard)

"""Asking services that do not speak for themselves how they are, once a minute; the answer counts as a heartbeat."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

from django.utils import timezone

from dashboard.errors import BotSilent
from dashboard.health import upstream
from dashboard.health.document import disconnected
from dashboard.intervals import DOWN_AFTER
from dashboard.models import BotState
from dashboard.services.heartbeats import Heartbeat, accept
from dashboard.services.proxy import address_of, of_service
from deployments.models import Server

_RELEASE = re.compile(r"[A-Za-z0-9._+-]{1,64}")
AT_ONCE = 16
"""Services that are asked side by side, each for `upstream.DEADLINE` at most."""


def probe_services(now: datetime | None = None) -> int:
    """Ask every service with a health address that has sent no heartbeat lately; returns how many were asked."""
    now = now or timezone.now()
    rows = Server.objects.filter(service=Server.Service.ASKED).exclude(state=Server.State.RETIRED)
    rows = rows.exclude(current_release=None).select_related("current_release", "bot_state")
    asked = [server for server in rows if not _speaks(server, now)]
    with ThreadPoolExecutor(AT_ONCE) as threads:
        answers = list(threads.map(_answer, asked))
    for server, answer in zip(asked, answers, strict=True):
        if answer is None and getattr(server, "bot_state", None) is None:
            continue  # it may listen where its own server alone reaches it: that is not known to be a fault
        accept(server=server, heartbeat=_heartbeat(server, answer))
    return len(asked)


def _speaks(server: Server, now: datetime) -> bool:
    """Whether it sends heartbeats of its own, which know more than an answer does."""
    state: BotState | None = getattr(server, "bot_state", None)
    return state is not None and not state.probed and now - state.heard_at < timedelta(seconds=DOWN_AFTER)


def _answer(server: Server) -> upstream.Answer | None:
    try:
        return upstream.fetch(*address_of(server))
    except BotSilent:
        return None


def _heartbeat(server: Server, answer: upstream.Answer | None) -> Heartbeat:
    release = server.current_release.identifier if server.current_release else ""
    if answer is None:
        version = server.current_release.version if server.current_release else ""
        return Heartbeat(disconnected(version=version), release, timezone.now(), probed=True)
    document, seconds = of_service(server, answer), answer.seconds
    said = answer.release if _RELEASE.fullmatch(answer.release) else release
    return Heartbeat(document, said, timezone.now(), response_ms=seconds * 1000, probed=True)

"""The ten things that must be true of a running system, each computed from facts. Nothing here is somebody's opinion.

Limits the users set: deployment < 10 min, rollback < 5 min, uptime > 99 %, errors < 1 % of operations, connected > 23 h
of 24, verification 100 %.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings

from alerting import channels, dead_mans_switch
from alerting.models import AlertReceipt
from alerting.receipts import PORTAL
from dashboard.models import Condition
from dashboard.selectors import bots
from dashboard.selectors.bots import Bot
from dashboard.selectors.statistics import statistics
from dashboard.services import proxy
from deployments.audit import trail
from deployments.drills import records as drill_records
from deployments.models import AuditEvent, Deployment
from deployments.notifications import messages
from engine import asking
from engine.errors import NotFound

DRILL_AGE = timedelta(days=30)
DEPLOYMENT_SECONDS, ROLLBACK_SECONDS = 600.0, 300.0
CONNECTED_HOURS, ERROR_RATE = 23.0, 0.01
_FIELDS = {"status", "connected", "channel", "uptime", "version", "user_count", "requests", "errors"}


@dataclass(frozen=True)
class Fact:
    """One of the ten: whether it holds, and the figures that say so."""

    number: int
    title: str
    holds: bool
    sentence: str


def scorecard(now: datetime) -> list[Fact]:
    """All ten, in order. A check that cannot be made does not hold, and says why."""
    everyone = bots.all_bots(now)
    checks: list[tuple[str, Callable[[], tuple[bool, str]]]] = [
        ("A bot is deployed and running on the test server", lambda: _running(everyone, "test")),
        ("A bot is deployed and running on the production server", lambda: _running(everyone, "production")),
        ("/api/health returns valid data", _health),
        ("Prometheus collects real metrics", lambda: _collected(everyone)),
        ("The dashboard shows the real bot", lambda: _shown(everyone, now)),
        ("Alerts fire and are delivered", lambda: _alerts(now)),
        ("A rollback was rehearsed and timed", lambda: _rehearsed(now)),
        ("The bot handles real traffic", lambda: _traffic(everyone, now)),
        ("Measured findings are on record", lambda: _measured(now)),
        ("There is reason to trust the pipeline", lambda: _trusted(everyone, now)),
    ]
    return [Fact(number, title, *check()) for number, (title, check) in enumerate(checks, start=1)]


def _running(everyone: list[Bot], environment: str) -> tuple[bool, str]:
    here = [bot for bot in everyone if bot.server.environment.name == environment]
    good = [bot for bot in here if bot.condition == Condition.CONNECTED and bot.server.current_release]
    if not here:
        return False, f"No server of {environment} has the role bot."
    words = ", ".join(f"{bot.name}: {bot.word.lower()}" + (f" ({bot.release})" if bot.release else "") for bot in here)
    return len(good) == len(here), f"{words}."


def _health() -> tuple[bool, str]:
    try:
        entry = proxy.answer(proxy.PRODUCTION)
    except NotFound as error:
        return False, error.message
    document = json.loads(entry.body)
    if set(document) != _FIELDS:
        return False, "Production's health document does not have the eight fields."
    return entry.status == 200, f"Production answers {entry.status}, {document['status']}."


def _collected(everyone: list[Bot]) -> tuple[bool, str]:
    if not settings.PROMETHEUS_URL:
        return False, "Prometheus is not configured: PROMETHEUS_URL is empty."
    try:
        url = f"{settings.PROMETHEUS_URL}/api/v1/query"
        answer = asking.ask("GET", url, timeout=3.0, query={"query": "bot_connected"})
        found = {row["metric"].get("server") for row in answer.json()["data"]["result"]}
    except asking.Unanswered as error:
        return False, f"Prometheus at {settings.PROMETHEUS_URL} does not answer ({error})."
    except (ValueError, LookupError, TypeError, AttributeError):
        return False, f"What answers at {settings.PROMETHEUS_URL} ({answer.status_code}) does not speak as Prometheus."
    missing = [bot.name for bot in everyone if bot.name not in found]
    if missing or not everyone:
        return False, f"Not collected from: {', '.join(missing) or 'any bot'}."
    return True, f"Collected from {', '.join(bot.name for bot in everyone)}."


def _shown(everyone: list[Bot], now: datetime) -> tuple[bool, str]:
    ages = {bot.name: (now - bot.state.heard_at).total_seconds() for bot in everyone if bot.state}
    if len(ages) < len(everyone) or not ages:
        return False, "Not every bot has reported yet."
    return max(ages.values()) < 60, ", ".join(f"{name} was heard {age:.0f} s ago" for name, age in ages.items()) + "."


def _alerts(now: datetime) -> tuple[bool, str]:
    since = now - DRILL_AGE
    told = {
        status: AlertReceipt.objects.filter(channel=PORTAL, status=status, received_at__gte=since)
        .exclude(alert__name=dead_mans_switch.SWITCH)
        .count()
        for status in ("firing", "resolved")
    }
    watched = dead_mans_switch.pulse(now)
    ways = channels.channels()
    proven = all(one.proven_at and one.proven_at >= since and not one.failing_since for one in ways)
    words = f"{told['firing']} fired and {told['resolved']} resolved in 30 days; dead man's switch: {watched.value}; "
    words += ", ".join(_proof(one, now) for one in ways)
    if late := messages.undelivered():
        words += f"; {late} notification{'s' * (late > 1)} of the portal not delivered"
    return all(told.values()) and proven and not late and watched is dead_mans_switch.Pulse.HEARD, f"{words}."


def _proof(channel: channels.Channel, now: datetime) -> str:
    if channel.failing_since:
        return f"{channel.label} FAILS"
    if channel.proven_at is None:
        return f"{channel.label} never proven"
    return f"{channel.label} proven {(now - channel.proven_at).total_seconds() / 3600:.1f} h ago"


def _rehearsed(now: datetime) -> tuple[bool, str]:
    drill = next(drill for drill in drill_records.latest() if drill.key == "drill.rollback")
    if drill.at is None:
        return False, "Never. Hold one: manage.py drill rollback test"
    event = AuditEvent.objects.filter(name="drill.rollback").order_by("-sequence").first()
    seconds = event.data.get("seconds", {}).get("back", 0.0) if event else 0.0
    fresh = now - drill.at <= DRILL_AGE
    words = f"{'Passed' if drill.passed else 'Failed'} on {drill.at:%Y-%m-%d}; going back took {seconds:.1f} s."
    return drill.passed and fresh and seconds < ROLLBACK_SECONDS, words


def _traffic(everyone: list[Bot], now: datetime) -> tuple[bool, str]:
    days = bots.last_days(everyone, now)
    production = [bot for bot in everyone if bot.server.environment.name == "production"]
    handled = sum(days[bot.server.pk].requests for bot in production)
    return handled > 0, f"Production handled {handled} requests in the last 24 hours."


def _measured(now: datetime) -> tuple[bool, str]:
    found = statistics("", now)
    if found.median_seconds is None or found.restore_seconds is None:
        return False, "There is no successful deployment, or no rollback, to measure yet."
    return True, (
        f"{found.deployments} deployments, median {found.median_seconds:.1f} s; "
        f"{found.rollbacks} rollbacks, {found.restore_seconds:.1f} s to restore."
    )


def _trusted(everyone: list[Bot], now: datetime) -> tuple[bool, str]:
    found = statistics("", now)
    days = [bots.last_days(everyone, now)[bot.server.pk] for bot in everyone]
    requests, errors = sum(day.requests for day in days), sum(day.errors for day in days)
    parts = [day.connected for day in days if day.connected is not None]
    hours = 24 * min(parts) if parts else 0.0
    verified = not Deployment.objects.filter(status="succeeded", verified_at=None).exists()
    limits = {
        _took("deployment", found.median_seconds): _within(found.median_seconds, DEPLOYMENT_SECONDS),
        _took("way back", found.restore_seconds): _within(found.restore_seconds, ROLLBACK_SECONDS),
        f"connected for {hours:.1f} of 24 h": hours > CONNECTED_HOURS,
        f"{errors} errors in {requests} requests": errors <= ERROR_RATE * requests,
        "every success was verified" if verified else "a success was not verified": verified,
        "the audit trail is whole": not trail.verify(),
    }
    short = [words for words, good in limits.items() if not good]
    held = ", ".join(words for words, good in limits.items() if good)
    return not short, f"Short of the limits: {', '.join(short)}. Within: {held}." if short else f"{held.capitalize()}."


def _took(what: str, seconds: float | None) -> str:
    return f"no {what} was measured" if seconds is None else f"a {what} takes {seconds:.1f} s"


def _within(seconds: float | None, limit: float) -> bool:
    return seconds is not None and 0 < seconds < limit

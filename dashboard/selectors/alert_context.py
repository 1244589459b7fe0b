"""What stands around an alert on its page: what was measured and deployed then, its runbook, and what can be done."""

import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.urls import reverse
from django.utils.safestring import SafeString

from alerting.models import Alert
from dashboard.charts.timeline import Mark
from dashboard.models import StatusPage
from dashboard.selectors import events
from dashboard.selectors.detail import actions
from dashboard.selectors.documents import page_named, section
from dashboard.selectors.series import RANGES, Range, Series, series
from deployments.access.policy import may
from deployments.access.verbs import Verb
from deployments.core.actors import Actor
from deployments.models import Deployment, Server

_BEFORE, _MOST = timedelta(days=2), 5
_RUNBOOK = re.compile(r"docs/([a-zA-Z0-9-]+)\.md#([\w-]+)")
_ABOUT = {
    "ChannelEmpty": "users",
    "CriticalErrorRate": "errors",
    "HighErrorRate": "errors",
    "HighResponseTime": "response",
}
"""Which chart shows what an alert is about: it stands first."""
_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}(/[a-z][a-z0-9-]{0,62})?")


@dataclass(frozen=True)
class AlertContext:
    """`series` is None where the alert is about no bot, or began before what samples are kept of.

    `lock` is where its environment is locked, where the runbook says so and this person may.
    """

    server: Server | None
    series: Series | None
    marks: list[Mark]
    deployments: list[Deployment]
    runbook: SafeString | None
    actions: list[tuple[str, str]]
    journal_since: str
    lock: str = ""

    @property
    def reads_journal(self) -> bool:
        """Whether this person may read the journal of the server's units."""
        return any(label == "Journal" for label, _ in self.actions)


def alert_context(alert: Alert, now: datetime, *, actor: Actor, chosen: str = "") -> AlertContext:
    """For a member. A fixed number of queries."""
    server, text = alert.server, runbook(alert)
    about_bot = server is not None and "bot" in server.roles and "concerns" not in alert.labels
    bot = server if about_bot else None
    length = _range(alert, now, chosen) if bot else None
    drawn = _first(series(bot, length, now), _ABOUT.get(alert.name, "")) if bot and length else None
    everything = StatusPage(pk=1)
    marks = events.marks(bot, drawn.start, drawn.end, everything, members=True) if bot and drawn else []
    since = alert.starts_at - timedelta(minutes=5)
    return AlertContext(
        server, drawn, marks, _deployments(alert), text,
        actions(server, actor) if server is not None else [], since.strftime("%Y-%m-%dT%H:%M"),
        _lock(alert, actor, text or ""),
    )  # fmt: skip


def _first(drawn: Series, key: str) -> Series:
    return replace(drawn, charts=sorted(drawn.charts, key=lambda chart: chart.key != key))


def _lock(alert: Alert, actor: Actor, text: str) -> str:
    place = alert.environment
    if place is None or place.locked or "Lock the environment" not in text or not may(actor, Verb.LOCK, place):
        return ""
    return reverse("admin:deployments_environment_lock", args=[place.pk])


def runbook(alert: Alert) -> SafeString | None:
    """The section that the alert names, with its environment and server in the commands; None where there is none."""
    named = _RUNBOOK.fullmatch(str(alert.annotations.get("runbook", "")))
    page = page_named(named[1]) if named else None
    if page is None or named is None:
        return None
    names = {"E": str(alert.environment or ""), "S": alert.server.name if alert.server else ""}
    return section(page, named[2], {letter: name for letter, name in names.items() if _NAME.fullmatch(name)})


def _range(alert: Alert, now: datetime, chosen: str) -> Range | None:
    """The one asked for, else the shortest in which the beginning can be seen."""
    if chosen in RANGES:
        return RANGES[chosen]
    return next((one for one in RANGES.values() if (now - alert.starts_at).total_seconds() < 0.9 * one.seconds), None)


def _deployments(alert: Alert) -> list[Deployment]:
    if alert.environment_id is None:
        return []
    until = (alert.ends_at or alert.starts_at) + timedelta(hours=1)
    rows = Deployment.objects.filter(
        environment=alert.environment_id, started_at__gte=alert.starts_at - _BEFORE, started_at__lte=until
    )
    return list(rows.select_related("release").defer("snapshot").order_by("-started_at")[:_MOST])

"""Alerts as people see them: what fires and who has acknowledged it, what has been, and everything about one."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.db.models import Case, Count, Exists, Max, OuterRef, Q, QuerySet, Subquery, When, Window

from alerting.models import Acknowledgement, Alert, AlertReceipt
from deployments.core.selectors import environments_called
from deployments.core.texts import whole_number
from deployments.models import Deployment, Server

PAGE = 50
SEARCHED = 5000
"""Alerts among which a text is looked for, the newest: it can only be found by reading them."""
MOST_FIRING = 200
_EARLIER = 10
_RECEIPTS = 50
_WORST_FIRST = {"critical": 0, "warning": 1}
OPEN, ACKNOWLEDGED, SNOOZED, SILENCED, RESOLVED = "open", "acknowledged", "snoozed", "silenced", "resolved"
STATES = {
    OPEN: "Needs action",
    ACKNOWLEDGED: "Acknowledged",
    SNOOZED: "Snoozed",
    SILENCED: "Silenced",
    RESOLVED: "Resolved",
}
"""How an alert stands, with its words for people."""
STATUSES = {Alert.Status.FIRING.value: "Firing"} | STATES
"""What can be asked for: a state, or all that fires."""
SEVERITIES = ("critical", "warning", "info")
ME = "me"


@dataclass(frozen=True)
class Shown:
    """An alert, and what people have said about it that holds now, if anything does."""

    alert: Alert
    held: Acknowledgement | None
    silenced: bool = False

    @property
    def state(self) -> str:
        """One of `STATES`: resolved, acknowledged, snoozed, silenced, or open while nobody has done anything."""
        if self.alert.status != Alert.Status.FIRING:
            return RESOLVED
        if self.held is not None:
            return str(self.held.kind)
        return SILENCED if self.silenced else OPEN

    @property
    def loud(self) -> bool:
        """Whether it fires, and nobody has it in hand, lets it wait or has silenced it."""
        return self.state == OPEN

    @property
    def grave(self) -> bool:
        """Whether it is more than information or the sign that monitoring is heard, and no drill."""
        return self.alert.severity not in ("info", "none") and self.alert.labels.get("concerns") != "drill"

    @property
    def word(self) -> str:
        """Its state for people; what is open and needs nobody only fires."""
        return STATES[self.state] if self.state != OPEN or self.grave else "Firing"

    @property
    def alarm(self) -> bool:
        """Whether somebody has to do something: it is loud and grave."""
        return self.loud and self.grave


@dataclass(frozen=True)
class Group:
    """What Alertmanager tells in one message: the firing alerts of one name and environment."""

    name: str
    environment: str
    alerts: list[Shown]

    @property
    def quiet(self) -> str:
        """How many of them are acknowledged, snoozed and silenced, in words; "" where none is."""
        return quiet_words(self.alerts)

    @property
    def alarms(self) -> list[Shown]:
        """Those that somebody has to do something about."""
        return [one for one in self.alerts if one.alarm]


@dataclass(frozen=True)
class Filter:
    """What to show; empty means all. `before` is the number below which a page of the past begins."""

    environment: str = ""
    severity: str = ""
    status: str = ""
    assigned: str = ""
    text: str = ""
    before: int | None = None

    @classmethod
    def parse(cls, query: Any) -> "Filter":
        """From a query string; what is not valid is left out."""
        return cls(
            environment=query.get("environment", "").replace("\x00", "")[:63],
            severity=query.get("severity", "") if query.get("severity", "") in SEVERITIES else "",
            status=query.get("status", "") if query.get("status", "") in STATUSES else "",
            assigned=ME if query.get("assigned", "") == ME else "",
            text=query.get("q", "").replace("\x00", "").strip()[:100],
            before=whole_number(query.get("before", "")),
        )

    @property
    def address(self) -> str:
        """The same as a query string, without the page."""
        named = {
            "environment": self.environment, "severity": self.severity, "status": self.status,
            "assigned": self.assigned, "q": self.text,
        }  # fmt: skip
        return urlencode({name: value for name, value in named.items() if value})

    def takes(self, one: Shown, me: str) -> bool:
        """Whether a firing alert is shown to this person."""
        alert = one.alert
        return (
            (not self.environment or self.environment in _names(alert))
            and self.severity in ("", alert.severity)
            and self.status in ("", Alert.Status.FIRING, one.state)
            and (self.status != OPEN or one.alarm)  # "Needs action": information does not
            and (not self.assigned or (alert.assignee is not None and alert.assignee.username == me))
            and self.text.lower() in alert.name.lower()
        )


def _names(alert: Alert) -> tuple[str, ...]:
    return (alert.environment.name, alert.environment.path) if alert.environment else ()


@dataclass(frozen=True)
class Page:
    """Some alerts, newest first, and where the next page begins."""

    rows: list[Shown]
    next_before: int | None


@dataclass(frozen=True)
class Detail:
    """Everything about one alert."""

    shown: Shown
    acknowledgements: list[Acknowledgement]
    receipts: list[AlertReceipt]
    deployment: Deployment | None
    siblings: list[Shown]
    earlier: list[Alert]

    @property
    def during(self) -> bool:
        """Whether that deployment was running when the alert began."""
        ran = self.deployment
        return ran is not None and (ran.finished_at is None or ran.finished_at >= self.shown.alert.starts_at)


def firing(now: datetime, server: Server | None = None) -> list[Shown]:
    """Alerts that fire now (of one server): those nobody has in hand first, the worst first. Two queries.

    Of more than MOST_FIRING the first ones in that order; `unlisted` says how many there are besides.
    """
    # The dead man's switch fires always; it has the severity "none".
    rows = Alert.objects.filter(status=Alert.Status.FIRING).exclude(severity="none")
    if server is not None:
        rows = rows.filter(server=server)
    latest = AlertReceipt.objects.filter(alert=OuterRef("pk"), channel="portal").order_by("-received_at", "-id")
    rows = rows.annotate(
        told_in=Subquery(latest.values("group_key")[:1]),
        left_out=Subquery(latest.values("left_out")[:1]),
        quiet=Exists(_holding(now)) | Q(silenced_until__gt=now, silenced_until__isnull=False),
        rank=Case(*(When(severity=name, then=rank) for name, rank in _WORST_FIRST.items()), default=2),
        together=Window(Count("pk")),
    ).order_by("quiet", "rank", "-starts_at", "-pk")
    found = shown(rows.select_related("environment", "server", "assignee")[:MOST_FIRING], now)
    return sorted(found, key=lambda one: (not one.loud, _WORST_FIRST.get(one.alert.severity, 2), one.alert.starts_at))


def unlisted(found: Iterable[Shown]) -> int:
    """How many alerts fire besides those that `firing` gave. No query."""
    alerts: list[Any] = [one.alert for one in found]
    return alerts[0].together - len(alerts) if alerts else 0


def _holding(now: datetime) -> QuerySet[Acknowledgement]:
    """What people have said about the alert of the outer query and holds."""
    return Acknowledgement.objects.filter(alert=OuterRef("pk"), ended_at=None, expires_at__gt=now)


def left_out(found: Iterable[Shown]) -> int:
    """How many alerts were besides in the latest delivery of each group that fires, and are not kept. No query."""
    alerts: list[Any] = sorted((one.alert for one in found), key=lambda alert: alert.last_received_at)
    return sum({alert.told_in: alert.left_out or 0 for alert in alerts}.values())


def groups(found: Iterable[Shown]) -> list[Group]:
    """The same as Alertmanager groups them; the order stays."""
    made: dict[tuple[str, str], Group] = {}
    for one in found:
        key = (one.alert.name, str(one.alert.environment or ""))
        made.setdefault(key, Group(*key, [])).alerts.append(one)
    return list(made.values())


def page(wanted: Filter, now: datetime, me: str = "", size: int = PAGE) -> Page:
    """One page of every alert there was, as this person chose. Two queries; never counts the table."""
    rows = Alert.objects.exclude(severity="none").select_related("environment", "server", "assignee")
    if wanted.environment:
        rows = rows.filter(environment__in=environments_called(wanted.environment))
    if wanted.severity:
        rows = rows.filter(severity=wanted.severity)
    if wanted.assigned:
        rows = rows.filter(assignee__username=me)
    if wanted.text:
        last = Alert.objects.aggregate(last=Max("pk"))["last"] or 0
        rows = rows.filter(pk__gt=last - SEARCHED, name__icontains=wanted.text)
    if wanted.before:
        rows = rows.filter(pk__lt=wanted.before)
    found = shown(in_state(rows, wanted.status, now).order_by("-pk")[: size + 1], now)
    return Page(found[:size], found[size - 1].alert.pk if len(found) > size else None)


def in_state(rows: QuerySet[Alert], status: str, now: datetime) -> QuerySet[Alert]:
    """Those of one of `STATUSES`; all of them for ""."""
    if not status:
        return rows
    if status in Alert.Status.values:
        return rows.filter(status=status)
    rows = rows.filter(status=Alert.Status.FIRING)
    holding = _holding(now)
    if status in Acknowledgement.Kind.values:
        return rows.filter(Exists(holding.filter(kind=status)))
    silenced = Q(silenced_until__gt=now)
    return rows.filter(~Exists(holding)).filter(silenced if status == SILENCED else ~silenced | Q(silenced_until=None))


def shown(rows: Iterable[Alert], now: datetime) -> list[Shown]:
    """Each with the acknowledgement that holds. One query for all of them."""
    alerts = list(rows)
    firing_ones = [row.pk for row in alerts if row.status == Alert.Status.FIRING]
    holding = Acknowledgement.objects.filter(alert__in=firing_ones, ended_at=None, expires_at__gt=now)
    held = {one.alert_id: one for one in holding} if firing_ones else {}
    return [Shown(row, held.get(row.pk), row.silenced_until is not None and row.silenced_until > now) for row in alerts]


def quiet_words(found: Iterable[Shown]) -> str:
    """How many of them are acknowledged, snoozed and silenced: "2 acknowledged, 1 silenced"; "" where none is."""
    count = Counter(one.state for one in found)
    return ", ".join(f"{count[state]} {state}" for state in (ACKNOWLEDGED, SNOOZED, SILENCED) if count[state])


def numbered(number: int) -> Alert | None:
    """The alert with this number, or None."""
    return Alert.objects.select_related("environment", "server", "assignee").filter(pk=number).first()


def detail(alert: Alert, now: datetime) -> Detail:
    """Everything about one alert, in a fixed number of queries."""
    same = Alert.objects.filter(fingerprint=alert.fingerprint, starts_at__lt=alert.starts_at)
    group = Alert.objects.filter(name=alert.name, environment=alert.environment, status=Alert.Status.FIRING)
    found = running_at(alert)
    return Detail(
        shown=shown([alert], now)[0],
        acknowledgements=list(alert.acknowledgements.all()),
        receipts=list(alert.receipts.all()[:_RECEIPTS]),
        deployment=found.select_related("release").defer("snapshot").first() if found is not None else None,
        siblings=shown(group.exclude(pk=alert.pk).select_related("environment", "server", "assignee")[:_RECEIPTS], now),
        earlier=list(same[:_EARLIER]),
    )


def running_at(alert: Alert) -> QuerySet[Deployment] | None:
    """The deployment that was running when the alert began, else the last one before, first in a query."""
    if alert.environment_id is None:
        return None
    return _begun().filter(environment=alert.environment_id, started_at__lte=alert.starts_at)


def with_deployment(rows: QuerySet[Alert]) -> QuerySet[Alert]:
    """Each with `deployment_number`: of the deployment that `running_at` finds."""
    ran = _begun().filter(environment=OuterRef("environment"), started_at__lte=OuterRef("starts_at"))
    return rows.annotate(deployment_number=Subquery(ran.values("pk")[:1]))


def _begun() -> QuerySet[Deployment]:
    return Deployment.objects.filter(started_at__isnull=False).order_by("-started_at")

"""Alerts as people see them: what fires and who has it in hand, what has been, and everything about one."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import OuterRef, QuerySet, Subquery

from alerting.models import Acknowledgement, Alert, AlertReceipt
from deployments.models import Deployment, Server

PAGE = 50
MOST_FIRING = 200
_EARLIER = 10
_RECEIPTS = 50
_WORST_FIRST = {"critical": 0, "warning": 1}


@dataclass(frozen=True)
class Shown:
    """An alert, and the acknowledgement that holds now, if one does."""

    alert: Alert
    held: Acknowledgement | None

    @property
    def loud(self) -> bool:
        """Whether it fires and nobody has it in hand."""
        return self.alert.status == Alert.Status.FIRING and self.held is None

    @property
    def alarm(self) -> bool:
        """Whether somebody has to do something: it is loud, more than information, and no drill."""
        return self.loud and self.alert.severity != "info" and self.alert.labels.get("concerns") != "drill"


@dataclass(frozen=True)
class Group:
    """What Alertmanager tells in one message: the firing alerts of one name and environment."""

    name: str
    environment: str
    alerts: list[Shown]

    @property
    def held(self) -> int:
        """How many of them somebody has in hand."""
        return sum(one.held is not None for one in self.alerts)


@dataclass(frozen=True)
class Filter:
    """What to show of the past; empty means all. `before` is the number below which a page begins."""

    environment: str = ""
    status: str = ""
    text: str = ""
    before: int | None = None

    @classmethod
    def parse(cls, query: Any) -> "Filter":
        """From a query string; what is not valid is left out."""
        before = query.get("before", "")
        return cls(
            environment=query.get("environment", "")[:31],
            status=query.get("status", "") if query.get("status", "") in Alert.Status.values else "",
            text=query.get("q", "").replace("\x00", "").strip()[:100],
            before=int(before) if before.isascii() and before.isdecimal() and len(before) < 16 else None,
        )


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
    """Alerts that fire now (of one server): those nobody has in hand first, the worst first. Two queries."""
    # The dead man's switch fires always; it has the severity "none".
    rows = Alert.objects.filter(status=Alert.Status.FIRING).exclude(severity="none")
    if server is not None:
        rows = rows.filter(server=server)
    latest = AlertReceipt.objects.filter(alert=OuterRef("pk"), channel="portal").order_by("-received_at", "-id")
    rows = rows.annotate(
        told_in=Subquery(latest.values("group_key")[:1]), left_out=Subquery(latest.values("left_out")[:1])
    )
    found = shown(rows.select_related("environment", "server")[:MOST_FIRING], now)
    return sorted(found, key=lambda one: (not one.loud, _WORST_FIRST.get(one.alert.severity, 2), one.alert.starts_at))


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


def page(wanted: Filter, now: datetime, size: int = PAGE) -> Page:
    """One page of every alert there was. Two queries; never counts the table."""
    rows = Alert.objects.exclude(severity="none").select_related("environment", "server")
    if wanted.environment:
        rows = rows.filter(environment__name=wanted.environment)
    if wanted.status:
        rows = rows.filter(status=wanted.status)
    if wanted.text:
        rows = rows.filter(name__icontains=wanted.text)
    if wanted.before:
        rows = rows.filter(pk__lt=wanted.before)
    found = shown(rows.order_by("-pk")[: size + 1], now)
    return Page(found[:size], found[size - 1].alert.pk if len(found) > size else None)


def shown(rows: Iterable[Alert], now: datetime) -> list[Shown]:
    """Each with the acknowledgement that holds. One query for all of them."""
    alerts = list(rows)
    holding = Acknowledgement.objects.filter(alert__in=[row.pk for row in alerts], ended_at=None, expires_at__gt=now)
    held = {one.alert_id: one for one in holding} if alerts else {}
    return [Shown(row, held.get(row.pk) if row.status == Alert.Status.FIRING else None) for row in alerts]


def numbered(number: int) -> Alert | None:
    """The alert with this number, or None."""
    return Alert.objects.select_related("environment", "server").filter(pk=number).first()


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
        siblings=shown(group.exclude(pk=alert.pk).select_related("environment", "server")[:_RECEIPTS], now),
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
    # one environment's deployments begin in the order of their numbers: the primary key is walked from its end
    return Deployment.objects.filter(started_at__isnull=False).order_by("-pk")

"""Keeping what Alertmanager delivers: every occurrence of an alert, and a receipt for every time it was told."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from alerting import acknowledgements, occurrences
from alerting.dead_mans_switch import SWITCH
from alerting.models import Alert, AlertReceipt
from deployments.core import read_only
from deployments.core.actors import system_actor
from deployments.core.selectors import environment_meant
from deployments.models import Deployment, Environment, Server
from deployments.requests.bake import report_alert
from engine.errors import NotAllowed


@dataclass(frozen=True)
class Report:
    """One alert of a delivery."""

    fingerprint: str
    status: str
    starts_at: datetime
    ends_at: datetime | None = None
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    generator_url: str = ""


@dataclass(frozen=True)
class Delivery:
    """One request of Alertmanager: some alerts of one group, for one receiver."""

    receiver: str
    group_key: str
    reports: Sequence[Report]
    left_out: int = 0
    """How many alerts it had besides: Alertmanager cut them off, or the portal did."""


@transaction.atomic
def receive(*, delivery: Delivery, now: datetime | None = None) -> list[Alert]:
    """Store a delivery; the same one again changes nothing but its receipts. The caller has checked the token.

    Raises NotInCharge when the portal has moved.
    """
    read_only.refuse_change()
    now = now or timezone.now()
    environments = {label: environment_meant(label) for label in _labelled(delivery, "environment")}
    servers = {row.name: row for row in Server.objects.filter(name__in=_labelled(delivery, "server"))}
    return [_store(report, delivery, environments, servers, now) for report in delivery.reports]


def refuse_others(delivery: Delivery, only: Environment | None) -> None:
    """Raise NotAllowed where a token for one environment tells of another one, or of none: a bake there hears of it.

    An alert is known by its fingerprint: whatever it is said to be about now, it is about what it was about before.
    """
    if only is None:
        return
    for report in delivery.reports:
        server = Server.objects.filter(name=report.labels.get("server", "")).first()
        told = {environment_meant(report.labels.get("environment", "")), server.environment if server else None}
        known = Alert.objects.filter(fingerprint=report.fingerprint)
        if told - {None} != {only} or known.exclude(environment=only).exists():
            raise NotAllowed("This token is for one environment.", hint="Give Alertmanager a token without one.")


def tell_deployments(alerts: Sequence[Alert]) -> list[Deployment]:
    """Let deployments that bake hear of what fires; returns the rollbacks it caused. Call it after `receive`.

    The label `concerns` says that an alert is about something else than a bot: an earlier deployment, a disk.
    """
    actor = system_actor("alertmanager")
    caused = [
        report_alert(
            actor=actor,
            environment=alert.environment,
            name=alert.name,
            severity=alert.severity,
            began_at=alert.starts_at,
            summary=alert.summary,
        )
        for alert in alerts
        if alert.status == Alert.Status.FIRING and alert.environment is not None and "concerns" not in alert.labels
    ]
    return [rollback for rollback in caused if rollback is not None]


def _store(
    report: Report,
    delivery: Delivery,
    environments: dict[str, Environment | None],
    servers: dict[str, Server],
    now: datetime,
) -> Alert:
    server = servers.get(report.labels.get("server", ""))
    environment = environments.get(report.labels.get("environment", "")) or (server.environment if server else None)
    resolved = report.status == Alert.Status.RESOLVED
    occurrences.told_exactly(report.fingerprint, report.starts_at)
    alert, _ = Alert.objects.update_or_create(
        fingerprint=report.fingerprint,
        starts_at=report.starts_at,
        defaults={
            "name": report.labels.get("alertname", "unnamed")[:150],
            "severity": report.labels.get("severity", "")[:30],
            "environment": environment,
            "server": server,
            "status": report.status,
            "labels": report.labels,
            "annotations": report.annotations,
            "generator_url": report.generator_url[:2000],
            "ends_at": (report.ends_at or now) if resolved else None,
            "last_received_at": now,
        },
    )
    # A new occurrence proves that an older one has ended, even when nobody told us.
    occurrences.end_older(report.fingerprint, report.starts_at)
    acknowledgements.end_with_their_alerts(report.fingerprint, now)
    _keep_receipt(alert, delivery, report.status, now)
    return alert


def _keep_receipt(alert: Alert, delivery: Delivery, status: str, now: datetime) -> None:
    receipt = {
        "receiver": delivery.receiver[:150],
        "group_key": delivery.group_key[:500],
        "left_out": delivery.left_out,
        "received_at": now,
    }
    if alert.name == SWITCH:  # every minute, for ever: one receipt is enough
        AlertReceipt.objects.update_or_create(alert=alert, status=status, defaults=receipt)
    else:
        AlertReceipt.objects.create(alert=alert, status=status, **receipt)


def _labelled(delivery: Delivery, label: str) -> set[str]:
    return {report.labels[label] for report in delivery.reports if label in report.labels}

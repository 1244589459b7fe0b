"""Metrics that only the database knows, for Prometheus. docs/api.md lists each.

Workers' own counters never reach the web process, so everything about deployments is counted here, at the scrape.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from statistics import median

from django.conf import settings
from django.db.models import Count, Max
from django.utils import timezone
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from alerting.models import Alert, AlertReceipt
from alerting.receipts import PORTAL
from dashboard.models import BotState, Condition, condition_at
from deployments.audit import trail
from deployments.core import beats, queueing
from deployments.core.selectors import seconds_of_each
from deployments.drills import records as drill_records
from deployments.lifecycle import ACTIVE, WAITING, Kind, Status
from deployments.models import Deployment, Environment, Server

_BEGUN = (Status.SUCCEEDED, Status.FAILED, Status.ROLLED_BACK, Status.INTERRUPTED, Status.CANCELLED)
_RECENT = 20
_HEARD = ("connected", "goodbye", "heard_at", "probed")
Names = Mapping[int, str]
"""What each environment is called, by its number."""
_DRILL = "drill"
"""The kind under which rehearsals are counted: no rule reads it."""


class PortalCollector(Collector):
    """Reads the database at every scrape; registered by the /metrics view only."""

    def collect(self) -> Iterator[Metric]:
        """Every family. A fixed number of queries; results are counted on an index."""
        now = timezone.now()
        called = Environment.objects.only("name", "application", "shared_name")
        names = {environment.pk: str(environment) for environment in called}
        info = GaugeMetricFamily("portal_build", "1, labelled with the portal's version.", labels=["version"])
        info.add_metric([settings.VERSION], 1)
        yield info
        yield from _deployments(names)
        yield from _waiting(names, now)
        yield _clusters(now)
        yield from _bots(names, now)
        yield from _servers(names)
        yield from _rehearsals()
        yield from _alerts()


def _deployments(names: Names) -> Iterator[Metric]:
    counted = CounterMetricFamily(
        "portal_deployments", "Deployments that ended, by result.", labels=["environment", "kind", "status"]
    )
    ended = GaugeMetricFamily(
        "portal_deployment_last_end_timestamp_seconds",
        "When the latest with this result ended.",
        labels=["environment", "kind", "status"],
    )
    # by the columns of an index, in its order: drills are put together afterwards
    rows = Deployment.objects.exclude(finished_at=None).order_by().values_list("environment", "kind", "drill", "status")
    found: dict[tuple[str, str, str], tuple[int, datetime]] = {}
    for environment, kind, drill, status, count, last in rows.annotate(count=Count("*"), last=Max("finished_at")):
        labels = names[environment], _DRILL if drill else kind, status
        before, at = found.get(labels, (0, last))
        found[labels] = before + count, max(at, last)
    for labels, (count, last) in found.items():
        counted.add_metric(labels, count)
        ended.add_metric(labels, last.timestamp())
    yield counted
    yield ended
    yield from _durations(names)


def _durations(names: Names) -> Iterator[Metric]:
    labels = ["environment", "kind"]
    last = GaugeMetricFamily(
        "portal_deployment_last_duration_seconds", "Claim to end of the latest that began.", labels=labels
    )
    usual = GaugeMetricFamily(
        "portal_deployment_median_duration_seconds",
        f"Median claim to end of the last {_RECENT} successes.",
        labels=labels,
    )
    for kind in Kind.values:
        # `drill__in`: an index is looked up by a value, not by NOT
        begun = Deployment.objects.filter(kind=kind, drill__in=[False], started_at__isnull=False)
        latest = seconds_of_each(names, begun.filter(status__in=_BEGUN).order_by("-pk"), 1)
        successes = seconds_of_each(names, begun.filter(status=Status.SUCCEEDED).order_by("-finished_at"), _RECENT)
        for environment, name in names.items():
            for seconds in latest[environment]:
                last.add_metric([name, kind], seconds)
            if took := successes[environment]:
                usual.add_metric([name, kind], median(took))
    yield last
    yield usual


def _waiting(names: Names, now: datetime) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "portal_queue_oldest_seconds",
        "Age of the oldest task no worker has taken.",
        value=queueing.oldest_queued_seconds(),
    )
    active = GaugeMetricFamily(
        "portal_deployments_active", "Queued, running or verifying.", labels=["environment", "status"]
    )
    waiting = GaugeMetricFamily("portal_approvals_waiting", "Requests waiting for approval.", labels=["environment"])
    running = GaugeMetricFamily(
        "portal_deployment_running_seconds", "Age of the deployment that runs, from its claim.", labels=["environment"]
    )
    rows = Deployment.objects.filter(status__in=ACTIVE | WAITING)  # unordered, see selectors.progress
    waits: dict[str, int] = {}
    for row in rows.only("environment", "status", "started_at").order_by():
        name = names[row.environment_id]
        if row.status in WAITING:
            waits[name] = waits.get(name, 0) + 1
            continue
        active.add_metric([name, row.status], 1)
        if row.started_at:
            running.add_metric([name], (now - row.started_at).total_seconds())
    for name, count in waits.items():
        waiting.add_metric([name], count)
    yield from (active, waiting, running)
    unreviewed = Deployment.objects.filter(break_glass=True, reviewed_at=None).count()
    yield GaugeMetricFamily(
        "portal_break_glass_unreviewed", "Uses of break-glass nobody has reviewed.", value=unreviewed
    )


def _clusters(now: datetime) -> Metric:
    silent = GaugeMetricFamily(
        "portal_cluster_silent_seconds",
        "How long a machine's cluster of workers has not been heard.",
        labels=["machine", "cluster"],
    )
    for cluster in beats.clusters(now):
        silent.add_metric([cluster.machine, cluster.name], cluster.silent_seconds)
    return silent


def _bots(names: Names, now: datetime) -> Iterator[Metric]:
    labels = ["environment", "server"]
    connected = GaugeMetricFamily("portal_bot_connected", "1 when the last heartbeat said so.", labels=labels)
    heard = GaugeMetricFamily("portal_bot_heartbeat_timestamp_seconds", "When the bot was last heard.", labels=labels)
    running = GaugeMetricFamily(
        "portal_service_up", "1 when a service without a room is well, by its probe or heartbeat.", labels=labels
    )
    rows = BotState.objects.exclude(server__state=Server.State.RETIRED).order_by("server_id")
    for state in rows.values("server__environment", "server__name", "server__service", *_HEARD):
        values = [names[state.pop("server__environment")], state.pop("server__name")]
        if state.pop("server__service") != Server.Service.BOT:
            if (condition := condition_at(now, **state)) != Condition.STALE:  # of what nobody looked at nothing is said
                running.add_metric(values, float(condition == Condition.CONNECTED))
            continue
        connected.add_metric(values, float(state["connected"] and not state["goodbye"]))
        heard.add_metric(values, state["heard_at"].timestamp())
    yield connected
    yield heard
    yield running


def _servers(names: Names) -> Iterator[Metric]:
    drift = GaugeMetricFamily(
        "portal_server_drift",
        "1 when the server differs from its record in what nobody has accepted.",
        labels=["environment", "server"],
    )
    rows = Server.objects.exclude(state=Server.State.RETIRED).order_by("pk")
    for name, environment, found in rows.values_list("name", "environment", "drift"):
        drift.add_metric([names[environment], name], float(bool(found and Server(drift=found).open_drift)))
    yield drift


def _rehearsals() -> Iterator[Metric]:
    held = GaugeMetricFamily(
        "portal_rehearsal_timestamp_seconds", "When the latest drill or backup of a kind was.", labels=["kind"]
    )
    passed = GaugeMetricFamily("portal_rehearsal_passed", "Whether the latest of a kind passed.", labels=["kind"])
    for drill in drill_records.latest():
        if drill.at is not None:
            held.add_metric([drill.key], drill.at.timestamp())
            passed.add_metric([drill.key], float(drill.passed))
    yield held
    yield passed
    yield GaugeMetricFamily("portal_audit_head", "Number of the last audit event.", value=trail.head().sequence)


def _alerts() -> Iterator[Metric]:
    firing = GaugeMetricFamily("portal_alerts_firing", "Alerts that fire, as the portal was told.", labels=["severity"])
    rows = Alert.objects.filter(status=Alert.Status.FIRING).order_by().values("severity").annotate(count=Count("pk"))
    for row in rows:
        firing.add_metric([row["severity"]], row["count"])
    yield firing
    told = AlertReceipt.objects.filter(channel=PORTAL).order_by("-received_at")
    last = told.values_list("received_at", flat=True).first()
    if last is not None:
        yield GaugeMetricFamily(
            "portal_alert_received_timestamp_seconds", "When Alertmanager last delivered here.", value=last.timestamp()
        )

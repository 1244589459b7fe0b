"""Every metric that a rule reads is exported by the program that is scraped."""

import time
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from alerting.models import Alert
from botcore.health.document import Snapshot
from botcore.health.metrics import render
from botcore.room import Room
from botcore.status import Status as BotStatus
from botcore.telemetry import Telemetry
from dashboard.metrics import PortalCollector
from dashboard.models import BotState
from dashboard.portal_metrics import PortalStateCollector
from deployments.lifecycle import Kind, Status
from deployments.models import ClusterBeat, Deployment, Environment, Server
from tests.fixtures.records import MakeRelease
from tests.monitoring import rules as shipped

FROM_PROMETHEUS = {"up", "scrape_duration_seconds"}


@pytest.fixture
def lived_in(db: None, make_release: MakeRelease, ready_server: Any) -> None:
    """A portal in which everything has happened once."""
    from django.db import transaction

    from deployments.audit import trail
    from deployments.core.actors import system_actor

    now = timezone.now()
    for number, (environment, status) in enumerate(
        [("test", Status.SUCCEEDED), ("test", Status.FAILED), ("production", Status.RUNNING)]
    ):
        home = Environment.objects.get(name=environment)
        server = Server.objects.filter(environment=home).first() or ready_server(home)
        Deployment.objects.create(
            environment=home,
            release=make_release(f"1.0.{number}"),
            kind=Kind.DEPLOYMENT,
            status=status,
            started_at=now,
            finished_at=None if status == Status.RUNNING else now,
        )
    service = Server.objects.exclude(pk=server.pk).first()
    assert service is not None
    service.service = Server.Service.ASKED
    service.save()
    for heard in (server, service):
        BotState.objects.create(
            server=heard,
            connected=True,
            channel="rosey",
            uptime=1,
            version="1.0.0",
            user_count=1,
            requests=0,
            errors=0,
            sent_at=now,
            heard_at=now,
            first_heard_at=now,
            changed_at=now,
        )
    Alert.objects.create(
        fingerprint="1", name="DeadMansSwitch", severity="none", status=Alert.Status.FIRING, starts_at=now
    )
    ClusterBeat.objects.create(machine="ops-1", cluster="rescue", at=now)
    with transaction.atomic():
        trail.record(actor=system_actor("tests"), name="backup.made", subject="portal")


def bot_page() -> set[str]:
    telemetry = Telemetry(started=time.monotonic())
    telemetry.errors["command"] += 1
    snapshot = Snapshot(BotStatus(connected=True, since=0.0), Room(), "rosey", "1.0.0", "", telemetry, 0, 0)
    return {line.split("{")[0].split(" ")[0] for line in render(snapshot).decode().splitlines() if line[:1] != "#"}


def portal_page() -> set[str]:
    families = [family for collector in (PortalCollector(), PortalStateCollector()) for family in collector.collect()]
    return {sample.name for family in families for sample in family.samples}


def test_the_names_in_expressions_are_found() -> None:
    expression = 'max by (environment) (bot_users{job="bot_x"}) and on (portal_y) rate(portal_a_total[5m]) > up'
    assert shipped.metrics_in(expression) == {"bot_users", "portal_a_total", "up"}
    assert len(shipped.metrics_used()) >= 15


def test_every_metric_a_rule_uses_is_exported(lived_in: None) -> None:
    assert shipped.metrics_used() - FROM_PROMETHEUS - bot_page() - portal_page() == set()


def test_docs_name_every_alert() -> None:
    runbook = (Path(__file__).resolve().parent.parent.parent / "docs" / "runbook.md").read_text()
    for rule in shipped.rules():
        assert f"\n## {rule['alert']}\n" in runbook, rule["alert"]

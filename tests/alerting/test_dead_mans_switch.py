"""The dead man's switch, as the portal sees it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from django_q.models import Task

from alerting import dead_mans_switch, inbox
from alerting.inbox import Delivery, Report
from alerting.models import Alert, AlertReceipt
from dashboard import tasks
from deployments.core.alertmanager import alertmanager
from deployments.models import AuditEvent, NotificationChannel, NotificationDelivery
from engine import http_client
from engine.alertmanager import NotConfigured
from sandbox.mail import WebhookSink

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)


def deliver(at: datetime, status: str = "firing") -> None:
    report = Report(
        fingerprint="abc",
        status=status,
        starts_at=NOON - timedelta(days=1),
        ends_at=at if status == "resolved" else None,
        labels={"alertname": dead_mans_switch.SWITCH, "severity": "none"},
    )
    inbox.receive(delivery=Delivery("dead-mans-switch", "{}", [report]), now=at)


@pytest.fixture
def channel() -> NotificationChannel:
    return NotificationChannel.objects.create(name="ops", url="json://127.0.0.1:9/")


def told() -> list[str]:
    return list(NotificationDelivery.objects.order_by("id").values_list("title", flat=True))


def test_a_portal_without_monitoring_complains_about_nothing(channel: NotificationChannel) -> None:
    assert dead_mans_switch.watch(NOON) is dead_mans_switch.SwitchState.NEVER
    assert told() == []


def test_silence_is_told_once_and_so_is_its_end(channel: NotificationChannel) -> None:
    deliver(NOON)
    assert dead_mans_switch.watch(NOON + timedelta(minutes=5)) is dead_mans_switch.SwitchState.HEARD
    for minute in (6, 7, 8):
        assert dead_mans_switch.watch(NOON + timedelta(minutes=minute)) is dead_mans_switch.SwitchState.SILENT
    (alert,) = Alert.objects.filter(name=dead_mans_switch.SILENT)
    assert (alert.status, alert.severity, alert.starts_at) == ("firing", "critical", NOON)
    assert told() == ["Portal: monitoring is silent"]

    deliver(NOON + timedelta(minutes=9))
    assert dead_mans_switch.watch(NOON + timedelta(minutes=9)) is dead_mans_switch.SwitchState.HEARD
    alert.refresh_from_db()
    assert (alert.status, alert.ends_at) == ("resolved", NOON + timedelta(minutes=9))
    assert told() == ["Portal: monitoring is silent", "Portal: monitoring is heard again"]
    names = list(AuditEvent.objects.order_by("sequence").values_list("name", flat=True))
    assert names[-2:] == ["monitoring.silent", "monitoring.heard"]


def test_a_portal_that_was_off_misses_nothing_before_it_has_looked_for_long_enough(
    channel: NotificationChannel,
) -> None:
    deliver(NOON)
    back = NOON + timedelta(hours=3)
    for minute in range(6):
        dead_mans_switch.watch(back + timedelta(minutes=minute), looking_since=back)
    assert told() == []
    assert not Alert.objects.filter(name=dead_mans_switch.SILENT).exists()
    dead_mans_switch.watch(back + timedelta(minutes=6), looking_since=back)
    assert told() == ["Portal: monitoring is silent"]


def test_the_task_of_a_portal_that_has_just_started_raises_nothing(channel: NotificationChannel) -> None:
    deliver(timezone.now() - timedelta(hours=3))
    assert tasks.watch_monitoring() == "silent"
    assert told() == []
    for minute in range(8):
        at = timezone.now() - timedelta(minutes=minute)
        Task.objects.create(
            id=f"watch{minute}", name=f"watch{minute}", func="x", group="watch", started=at, stopped=at, success=True
        )
    assert tasks.watch_monitoring() == "silent"
    assert told() == ["Portal: monitoring is silent"]


def test_a_second_silence_is_a_new_alert(channel: NotificationChannel) -> None:
    for hour in (0, 1):
        deliver(NOON + timedelta(hours=hour))
        dead_mans_switch.watch(NOON + timedelta(hours=hour))
        dead_mans_switch.watch(NOON + timedelta(hours=hour, minutes=10))
    assert Alert.objects.filter(name=dead_mans_switch.SILENT).count() == 2


def test_a_switch_that_alertmanager_says_has_ended_is_silence_at_once() -> None:
    deliver(NOON)
    deliver(NOON + timedelta(minutes=1), status="resolved")
    assert dead_mans_switch.state(NOON + timedelta(minutes=1)) is dead_mans_switch.SwitchState.SILENT


def test_a_switch_delivered_every_minute_leaves_one_receipt() -> None:
    for minute in range(5):
        deliver(NOON + timedelta(minutes=minute))
    assert AlertReceipt.objects.get().received_at == NOON + timedelta(minutes=4)


def test_the_outbound_url_is_asked_while_somebody_watches_and_only_then(settings: Any) -> None:
    with WebhookSink() as sink:
        settings.PING_URL = sink.url.removesuffix("/services/sandbox") + "/ping"
        deliver(NOON)
        dead_mans_switch.watch(NOON)
        dead_mans_switch.watch(NOON + timedelta(minutes=10))
        assert len(sink.messages) == 1


def test_an_outbound_url_that_does_not_answer_is_not_written_into_the_log(
    settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.PING_URL = "http://127.0.0.1:9/a-secret-path"
    deliver(NOON)
    with caplog.at_level("DEBUG", "dashboard"):
        assert dead_mans_switch.watch(NOON) is dead_mans_switch.SwitchState.HEARD
    assert "did not take a ping" in caplog.text
    assert "a-secret-path" not in caplog.text


def test_a_failed_deployment_does_not_roll_the_next_one_back() -> None:
    """Its alert is critical and begins late: only alerts about bots count for what is being watched."""
    heard: list[str] = []

    def report(**facts: Any) -> None:
        heard.append(facts["name"])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inbox, "report_alert", report)
        for name, more in (("DeploymentFailed", {"concerns": "deployment"}), ("BotDown", {})):
            labels = {"alertname": name, "severity": "critical", "environment": "production", **more}
            one = Report(fingerprint=name, status="firing", starts_at=NOON, labels=labels)
            inbox.tell_deployments(inbox.receive(delivery=Delivery("people", "{}", [one]), now=NOON))
    assert heard == ["BotDown"]


@pytest.mark.parametrize(
    ("address", "heading"), [("", "Monitoring is not configured"), ("http://x", "Monitoring has not been heard yet")]
)
def test_what_nobody_watches_is_not_said_to_be_quiet(settings: Any, address: str, heading: str) -> None:
    settings.ALERTMANAGER_URL = settings.PROMETHEUS_URL = address
    reader = Client()
    user = User.objects.create_superuser("root")
    reader.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    page = reader.get("/alerts/").content.decode()
    assert f"<h1>{heading}</h1>" in page
    assert "Nothing fires" not in page
    deliver(NOON)
    assert "<h1>Monitoring has gone quiet</h1>" in reader.get("/alerts/").content.decode(), "that was long ago"
    deliver(timezone.now())
    assert "<h1>Nothing fires</h1>" in reader.get("/alerts/").content.decode()


def test_without_addresses_nobody_is_asked_and_nobody_told(settings: Any) -> None:
    settings.ALERTMANAGER_URL = settings.PROMETHEUS_URL = ""
    reader = Client()
    user = User.objects.create_superuser("root")
    reader.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(http_client, "ask", lambda *_, **__: pytest.fail("somebody was asked"))
        assert "No Alertmanager is configured." in reader.get("/silences/").content.decode()
        assert "Prometheus is not configured" in reader.get("/readiness/").content.decode()
        assert "Alertmanager is not configured" in reader.get("/").content.decode()
        for one in (alertmanager().silences, alertmanager().taken, alertmanager().integrations):
            with pytest.raises(NotConfigured):
                one()

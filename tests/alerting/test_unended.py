"""An alert whose end nobody tells, where nobody can be asked: it is said to be that, and what to set."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from alerting import alert_expiry, dead_mans_switch, inbox
from alerting.inbox import Delivery, Report
from alerting.models import Alert
from dashboard.checks import ends_of_alerts
from dashboard.readiness import conditions
from dashboard.readiness.observed_window import Record

pytestmark = pytest.mark.django_db
SAID = "not said to be over by anyone since"


@pytest.fixture
def alert(settings: Any) -> Alert:
    """One that fires by what was heard three hours ago."""
    settings.ALERTMANAGER_URL = ""
    return heard("BotDown", timezone.now() - timedelta(hours=3))


def heard(name: str, at: datetime, status: str = "firing") -> Alert:
    labels = {"alertname": name, "severity": "critical"}
    ended = at if status == "resolved" else None
    one = Report(fingerprint=name, status=status, starts_at=at, ends_at=ended, labels=labels)
    inbox.receive(delivery=Delivery("people", "{}", [one]), now=at)
    return Alert.objects.get(name=name)


@pytest.fixture
def member() -> Client:
    reader = Client()
    reader.force_login(User.objects.create_superuser("root"), backend="django.contrib.auth.backends.ModelBackend")
    return reader


def words(member: Client, alert: Alert) -> tuple[bool, bool, bool, bool]:
    """Whether its page, the inbox, the readiness and the check say it."""
    return (
        SAID in member.get(f"/alerts/{alert.pk}/").content.decode(),
        "cannot ask whether it still fires" in member.get("/alerts/").content.decode(),
        "nobody can ask without ALERTMANAGER_URL" in conditions.alerts(Record.read(timezone.now())).sentence,
        [found.id for found in ends_of_alerts(databases=["default"])] == ["dashboard.W001"],
    )


def test_it_is_said_everywhere_with_what_to_set(alert: Alert, member: Client) -> None:
    assert words(member, alert) == (True,) * 4
    page = member.get(f"/alerts/{alert.pk}/").content.decode()
    assert "Last heard of 3 h ago" in page
    assert "Set it to the address of your Alertmanager" in page


@pytest.mark.parametrize("other", ["it can be asked", "heard just now", "ended", "the switch"])
def test_of_any_other_it_is_not_said(other: str, alert: Alert, member: Client, settings: Any) -> None:
    if other == "it can be asked":
        settings.ALERTMANAGER_URL = "http://127.0.0.1:9"  # what it says decides (tests/monitoring/test_silencing.py)
    if other == "heard just now":
        Alert.objects.update(last_received_at=timezone.now())
    if other == "ended":
        Alert.objects.update(status=Alert.Status.RESOLVED, ends_at=timezone.now())
    if other == "the switch":
        Alert.objects.update(name=dead_mans_switch.SWITCH)
    assert words(member, Alert.objects.get()) == (False,) * 4


def test_the_check_is_among_those_of_the_database_and_is_silent_without_one(alert: Alert, capsys: Any) -> None:
    call_command("check", databases=["default"])
    assert "dashboard.W001" in capsys.readouterr().err
    assert ends_of_alerts() == []


def test_an_end_that_is_delivered_ends_it(alert: Alert) -> None:
    began = alert.starts_at
    labels = {"alertname": "BotDown", "severity": "critical"}
    one = Report(fingerprint="BotDown", status="resolved", starts_at=began, ends_at=timezone.now(), labels=labels)
    inbox.receive(delivery=Delivery("people", "{}", [one]), now=timezone.now())
    assert not alert_expiry.unended(timezone.now()).exists()

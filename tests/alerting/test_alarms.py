"""What counts as an alarm: an alert that somebody has to do something about."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from alerting.models import Alert
from deployments.models import Server
from tests.fixtures.records import MakePerson

pytestmark = pytest.mark.django_db
RED = "mood-alarmed"


def fires(server: Server, name: str, severity: str, **labels: str) -> Alert:
    return Alert.objects.create(
        fingerprint=name,
        name=name,
        severity=severity,
        status=Alert.Status.FIRING,
        starts_at=timezone.now(),
        environment=server.environment,
        server=server,
        labels={"alertname": name, "severity": severity, **labels},
    )


@pytest.fixture
def inbox(make_person: MakePerson) -> Callable[[], str]:
    """`inbox()`: the page as an operator sees it."""
    make_person("olga", "operator")
    client = Client()
    client.force_login(User.objects.get(username="olga"), backend="django.contrib.auth.backends.ModelBackend")
    return lambda: client.get("/alerts/").content.decode()


def test_information_and_drills_need_nobody_and_are_still_shown(
    enrol: Callable[..., Server], inbox: Callable[[], str]
) -> None:
    server = enrol()
    fires(server, "ChannelEmpty", "info")
    fires(server, "Drill", "critical", concerns="drill")
    page = inbox()
    assert "Nothing that fires needs action" in page
    assert "2 firing." in page
    assert "ChannelEmpty" in page
    assert RED not in page


def test_only_what_needs_somebody_is_in_the_headline(enrol: Callable[..., Server], inbox: Callable[[], str]) -> None:
    server = enrol()
    fires(server, "ChannelEmpty", "info")
    fires(server, "DeploymentFailed", "critical", concerns="deployment")
    fires(server, "MetricsStale", "warning")
    page = inbox()
    assert "2 alerts need action, 1 of them critical" in page
    assert RED in page


def test_one_click_takes_what_needs_action_in_hand(
    enrol: Callable[..., Server], inbox: Callable[[], str], make_person: MakePerson
) -> None:
    server = enrol()
    rows = [fires(server, "DeploymentFailed", "critical"), fires(server, "MetricsStale", "warning")]
    assert "Acknowledge all 2 that need action" in inbox()
    make_person("vera", "viewer")
    viewer, operator = Client(), Client()
    for client, name in ((viewer, "vera"), (operator, "olga")):
        client.force_login(User.objects.get(username=name), backend="django.contrib.auth.backends.ModelBackend")
    assert "that need action<" not in viewer.get("/alerts/").content.decode(), "not offered to whom it would be refused"
    sent = {"acknowledge": ",".join([*(str(row.pk) for row in rows), "99", "x", "-1"]), "minutes": "60"}
    told = viewer.post("/alerts/act", sent, follow=True).content.decode()
    assert "2 alerts need action" in told
    told = operator.post("/alerts/act", sent, follow=True).content.decode()
    assert "2 alerts acknowledged for 1 hour." in told
    assert "<h1>2 alerts fire, acknowledged</h1>" in told

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
    assert "Nothing that fires needs anybody" in page
    assert "2 firing, 2 of them in nobody's hand" in page.replace("&#x27;", "'")
    assert "ChannelEmpty" in page
    assert RED not in page


def test_only_what_needs_somebody_is_in_the_headline(enrol: Callable[..., Server], inbox: Callable[[], str]) -> None:
    server = enrol()
    fires(server, "ChannelEmpty", "info")
    fires(server, "DeploymentFailed", "critical", concerns="deployment")
    fires(server, "MetricsStale", "warning")
    page = inbox()
    assert "2 alerts need somebody" in page
    assert RED in page

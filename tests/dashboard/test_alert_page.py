"""The page of an alert has what one needs to decide: its runbook, what was measured and deployed then, the journal."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from alerting.models import Alert
from dashboard.selectors.alert_context import runbook
from deployments.models import Environment, Server
from tests.dashboard import records
from tests.fixtures.records import MakePerson

pytestmark = pytest.mark.django_db
NOTES = {"summary": "The bot keeps silent", "runbook": "docs/runbook.md#botdown"}


@pytest.fixture
def server(enrol: Callable[..., Server]) -> Server:
    server = enrol()
    for ago in range(1800, -1, -60):
        records.beat(server, ago)
    return server


@pytest.fixture
def alert(server: Server) -> Alert:
    return records.alert(server.environment, server=server, annotations=NOTES)


@pytest.fixture
def look(make_person: MakePerson) -> Callable[..., str]:
    """`look(alert, "viewer")`: the page as somebody of that role sees it."""

    def look(alert: Alert, role: str = "operator", query: str = "") -> str:
        if not User.objects.filter(username=role).exists():
            make_person(role, role)
        client = Client()
        client.force_login(User.objects.get(username=role), backend="django.contrib.auth.backends.ModelBackend")
        return client.get(f"/alerts/{alert.pk}/{query}").content.decode()

    return look


def test_its_section_of_the_runbook_stands_there_with_names_in_the_commands(
    alert: Alert, look: Callable[..., str]
) -> None:
    page = look(alert)
    assert "Prometheus gets no answer from the bot" in page
    assert "<code>./manage.py verify production</code>" in page
    assert "<code>./manage.py provision prod-1 --plan</code>" in page
    assert "verify E<" not in page
    assert "BotDisconnected</h2>" not in page, "the next section is another alert's"


@pytest.mark.parametrize(
    "named",
    ["", "docs/runbook.md#nosuch", "docs/../manage.md#x", "https://elsewhere.example/#botdown", "docs/nosuch.md#a"],
)
def test_an_alert_that_names_no_section_shows_none(alert: Alert, look: Callable[..., str], named: str) -> None:
    alert.annotations = {"runbook": named}
    assert runbook(alert) is None
    Alert.objects.update(annotations=alert.annotations)
    assert 'id="runbook-title"' not in look(alert)


def test_what_was_measured_then_is_drawn_and_has_its_table(alert: Alert, look: Callable[..., str]) -> None:
    page = look(alert)
    assert "prod-1, last hour" in page
    assert 'aria-label="Response time over the last hour' in page
    assert "The same as a table" in page
    assert "prod-1, last 7 days" in look(alert, query="?range=7d")
    Alert.objects.update(starts_at=timezone.now() - timedelta(hours=3))
    assert "prod-1, last 24 hours" in look(alert), "its beginning is in the picture"
    Alert.objects.update(starts_at=timezone.now() - timedelta(days=200))
    assert 'id="charts-title"' not in look(alert)


def test_deployments_around_that_time_are_listed(alert: Alert, server: Server, look: Callable[..., str]) -> None:
    earlier = records.deployment(server, at=alert.starts_at - timedelta(minutes=10))
    later = records.deployment(server, at=alert.starts_at + timedelta(minutes=1))
    long_ago = records.deployment(server, at=alert.starts_at - timedelta(days=9))
    part = look(alert).split('id="around-title"')[1].split("</section>")[0]
    assert f"/deployments/{earlier.pk}/" in part
    assert f"/deployments/{later.pk}/" in part
    assert f"/deployments/{long_ago.pk}/" not in part
    assert part.index("after it began") < part.index("before it began")


def test_the_journal_is_offered_to_those_who_may_read_it(
    alert: Alert, server: Server, look: Callable[..., str]
) -> None:
    assert "/servers/prod-1/journal/" not in look(alert), "nothing runs there"
    Server.objects.update(current_release=records.release())
    assert 'data-load="/servers/prod-1/journal/?since=' in look(alert)
    assert "/servers/prod-1/journal/" not in look(alert, "viewer")


def test_an_alert_of_no_server_has_a_page_too(look: Callable[..., str]) -> None:
    alert = Alert.objects.create(
        fingerprint="x", name="MonitoringSilent", severity="critical", status="firing", starts_at=timezone.now()
    )
    assert "MonitoringSilent" in look(alert)


def test_the_sign_that_monitoring_is_heard_asks_nothing_of_anybody(server: Server, look: Callable[..., str]) -> None:
    page = look(records.alert(server.environment, "DeadMansSwitch", severity="none"), role="administrator")
    assert "This alert fires always" in page
    for offered in ("Needs action", "Acknowledge", "Open an incident", "What you can do"):
        assert offered not in page, offered


def test_the_number_of_queries_does_not_grow(alert: Alert, server: Server, look: Callable[..., str]) -> None:
    def count() -> int:
        with CaptureQueriesContext(connection) as caught:
            look(alert)
        return len(caught)

    records.deployment(server, at=alert.starts_at)
    records.alert(server.environment, server=server, annotations=NOTES)
    look(alert)
    few = count()
    for number in range(5):
        records.deployment(server, at=alert.starts_at - timedelta(minutes=number))
        records.alert(server.environment, server=server, annotations=NOTES)
    assert count() == few


def test_where_the_runbook_says_so_the_environment_is_locked_from_here(
    server: Server, look: Callable[..., str]
) -> None:
    labels = {"alertname": "RollbacksRepeated", "concerns": "deployment"}
    notes = {"runbook": "docs/runbook.md#rollbacksrepeated"}
    alert = records.alert(server.environment, "RollbacksRepeated", server=server, labels=labels, annotations=notes)
    address = f"/admin/deployments/environment/{server.environment_id}/lock/"
    page = look(alert)
    assert f'href="{address}">Lock production</a>' in page
    assert 'id="charts-title"' not in page, "it is not about the bot"
    assert address not in look(alert, "viewer")
    Environment.objects.update(locked_at=timezone.now())
    assert address not in look(alert)


def test_the_chart_of_what_it_is_about_stands_first(server: Server, look: Callable[..., str]) -> None:
    records.beat(server)
    for name, first in (("BotDown", "users"), ("CriticalErrorRate", "errors"), ("HighResponseTime", "response")):
        page = look(records.alert(server.environment, name, server=server))
        assert re.findall(r'class="chart chart-(\w+)"', page)[0] == first


def test_what_can_be_done_comes_before_what_it_is_and_how_it_was_told(alert: Alert, look: Callable[..., str]) -> None:
    page = look(alert)
    parts = [page.index(f'id="{part}"') for part in ("acknowledge", "runbook-title", "plumbing")]
    assert parts == sorted(parts)
    assert ">Acknowledge</button>" in page
    Alert.objects.update(severity="info")
    page = look(Alert.objects.get())
    assert ">Acknowledge</button>" not in page, "it needs no action"
    assert ">Snooze</button>" in page

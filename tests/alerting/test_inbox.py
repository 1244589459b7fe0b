"""What Alertmanager delivers, and what becomes of it."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from alerting.models import Alert, AlertReceipt
from alerting.occurrences import repeat
from dashboard.models import StatusPage
from deployments.models import ApiToken, Deployment, Environment, Scope, Server
from tests.dashboard import records

Enrol = Callable[..., Server]
Deliver = Callable[..., Any]
BEGAN = "2026-05-04T12:00:00.123456789Z"


def told(status: str = "firing", **changes: Any) -> dict[str, Any]:
    """One alert of a delivery, as Alertmanager 0.25 writes it."""
    return {
        "status": status,
        "labels": {"alertname": "BotDown", "severity": "critical", "environment": "production", "server": "prod-1"},
        "annotations": {"summary": "The bot on prod-1 does not answer"},
        "startsAt": BEGAN,
        "endsAt": "0001-01-01T00:00:00Z" if status == "firing" else "2026-05-04T12:05:00Z",
        "generatorURL": "http://prometheus:9090/graph",
        "fingerprint": "0f1e2d3c4b5a6978",
    } | changes


@pytest.fixture
def deliver(anyone: Client, token_for: Callable[..., str]) -> Deliver:
    """`deliver(alert, …)`: what Alertmanager posts."""
    headers = {"authorization": f"Bearer {token_for(Scope.ALERTS)}"}

    def post(*alerts: dict[str, Any], body: Any = None) -> Any:
        document = {
            "version": "4",
            "groupKey": '{}:{alertname="BotDown"}',
            "truncatedAlerts": 0,
            "status": "firing",
            "receiver": "portal",
            "groupLabels": {},
            "commonLabels": {},
            "commonAnnotations": {},
            "externalURL": "http://alertmanager:9093",
            "alerts": list(alerts),
        }
        content = json.dumps(document if body is None else body) if not isinstance(body, bytes) else body
        return anyone.post("/api/alerts/alertmanager", content, content_type="application/json", headers=headers)

    return post


@pytest.fixture
def member(db: None) -> Client:
    """Somebody who is signed in and may see everything."""
    client = Client()
    user = User.objects.create_superuser("root")
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def test_a_token_for_one_environment_tells_of_no_other(deliver: Deliver, enrol: Enrol) -> None:
    enrol()
    ApiToken.objects.update(environment=Environment.objects.get(name="test"))
    elsewhere = {"alertname": "BotDown", "severity": "critical"}
    for labels in ({"environment": "production"}, {"server": "prod-1"}):
        assert deliver(told(labels=elsewhere | labels)).status_code == 403
    assert not Alert.objects.exists()
    assert deliver(told(labels=elsewhere)).status_code == 403, "of none: everybody would hear of it"
    assert deliver(told(labels=elsewhere | {"environment": "test", "server": "prod-1"})).status_code == 403
    assert not Alert.objects.exists()
    assert deliver(told(labels=elsewhere | {"environment": "test"})).status_code == 204


@pytest.mark.parametrize(
    "said",
    [
        told("resolved", labels={"alertname": "BotDown", "environment": "test"}),
        told(labels={"alertname": "x", "environment": "test"}, startsAt="2026-05-04T13:00:00Z"),
    ],
    ids=["its end", "a newer one, which ends it"],
)
@pytest.mark.parametrize("of", ["production", None])
def test_a_token_for_one_environment_does_nothing_to_an_alert_of_another(
    deliver: Deliver, enrol: Enrol, said: dict[str, Any], of: str | None
) -> None:
    enrol()
    about = {"environment": of} if of else {}
    assert deliver(told(labels={"alertname": "BotDown", "severity": "critical"} | about)).status_code == 204
    ApiToken.objects.update(environment=Environment.objects.get(name="test"))
    assert deliver(said).status_code == 403
    row = Alert.objects.get()
    assert (row.name, row.status, row.environment and row.environment.name) == ("BotDown", "firing", of)


def test_a_firing_alert_is_kept_with_its_server(deliver: Deliver, enrol: Enrol) -> None:
    server = enrol()
    assert deliver(told()).status_code == 204
    alert = Alert.objects.get()
    assert (alert.name, alert.severity, alert.status, alert.ends_at) == ("BotDown", "critical", "firing", None)
    assert (alert.server, alert.environment) == (server, server.environment)
    assert alert.starts_at == datetime(2026, 5, 4, 12, 0, 0, 123456, tzinfo=UTC)
    assert alert.summary == "The bot on prod-1 does not answer"


def test_its_end_ends_the_same_alert(deliver: Deliver, enrol: Enrol) -> None:
    enrol()
    deliver(told())
    deliver(told("resolved"))
    alert = Alert.objects.get()
    assert alert.status == Alert.Status.RESOLVED
    assert alert.ends_at == datetime(2026, 5, 4, 12, 5, tzinfo=UTC)


def test_every_delivery_leaves_a_receipt(deliver: Deliver, enrol: Enrol) -> None:
    enrol()
    for status in ("firing", "firing", "resolved"):
        deliver(told(status))
    assert Alert.objects.count() == 1
    assert list(AlertReceipt.objects.order_by("pk").values_list("status", "receiver")) == [
        ("firing", "portal"),
        ("firing", "portal"),
        ("resolved", "portal"),
    ]


def test_a_new_occurrence_is_a_new_alert_and_ends_the_old_one(deliver: Deliver, enrol: Enrol) -> None:
    enrol()
    deliver(told())
    deliver(told(startsAt="2026-05-04T13:00:00Z"))
    old, new = Alert.objects.order_by("starts_at")
    assert (old.status, old.ends_at) == ("resolved", new.starts_at)
    assert new.status == "firing"


def test_an_older_one_ended_when_it_was_last_heard_of(deliver: Deliver, enrol: Enrol) -> None:
    enrol()
    deliver(told())
    heard = datetime(2026, 5, 4, 12, 10, tzinfo=UTC)
    Alert.objects.update(last_received_at=heard)
    deliver(told(startsAt="2026-05-04T13:00:00Z"))
    old, new = Alert.objects.order_by("starts_at")
    assert (old.status, old.ends_at) == ("resolved", heard)
    assert new.status == "firing"


def test_one_that_was_kept_by_asking_is_the_one_that_is_delivered_later(deliver: Deliver, enrol: Enrol) -> None:
    enrol()
    deliver(told())
    repeat(Alert.objects.get(), datetime(2026, 5, 4, 13, 0, 0, 123000, tzinfo=UTC), timezone.now())
    deliver(told(startsAt="2026-05-04T13:00:00.123456789Z"))
    new, _old = Alert.objects.order_by("-starts_at")
    assert new.starts_at == datetime(2026, 5, 4, 13, 0, 0, 123456, tzinfo=UTC)


def test_alerts_of_unknown_servers_are_kept_too(deliver: Deliver, db: None) -> None:
    deliver(told(labels={"alertname": "PortalDown"}))
    alert = Alert.objects.get()
    assert (alert.server, alert.environment, alert.name) == (None, None, "PortalDown")


def test_an_alert_of_a_server_belongs_to_its_environment(deliver: Deliver, enrol: Enrol) -> None:
    server = enrol()
    deliver(told(labels={"alertname": "BotDown", "server": "prod-1"}))
    assert Alert.objects.get().environment == server.environment


def test_the_dead_mans_switch_is_kept_and_alarms_nobody(deliver: Deliver, anyone: Client, enrol: Enrol) -> None:
    enrol()
    StatusPage.objects.create(pk=1, show_alerts=True)
    deliver(told(labels={"alertname": "DeadMansSwitch", "severity": "none"}))
    assert AlertReceipt.objects.count() == 1
    assert b"DeadMansSwitch" not in anyone.get("/").content


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        {},
        {"version": "3", "receiver": "x", "groupKey": "x", "alerts": []},
        {"version": "4", "receiver": "x", "groupKey": "x", "alerts": [told(status="odd")]},
        {"version": "4", "receiver": "x", "groupKey": "x", "alerts": [told(fingerprint="../..")]},
        {"version": "4", "receiver": "x", "groupKey": "x", "alerts": [told(startsAt="0001-01-01T00:00:00+14:00")]},
        {"version": "4", "receiver": "x", "groupKey": "x", "alerts": [told(endsAt="9999-12-31T23:59:59-12:00")]},
        {"version": "4", "receiver": "x", "groupKey": "x", "alerts": [told(labels={"a": 1})]},
        {"version": "4", "receiver": "x", "groupKey": "x", "alerts": [told(labels={"a": "\x00"})]},
        {"version": "4", "receiver": "x" * 5000, "groupKey": "x", "alerts": []},
    ],
)
def test_what_is_no_delivery_is_422_and_changes_nothing(deliver: Deliver, db: None, body: Any) -> None:
    answer = deliver(body=body)
    assert answer.status_code == 422
    assert answer["Content-Type"] == "application/problem+json"
    assert not Alert.objects.exists()


def test_a_delivery_that_is_too_large_is_413(deliver: Deliver, db: None) -> None:
    assert deliver(body=b" " * ((1 << 20) + 1)).status_code == 413
    assert deliver(body=b" " * (4 << 20)).status_code == 413


@pytest.mark.parametrize(("scope", "status"), [(None, 401), (Scope.METRICS, 403), (Scope.HEARTBEAT, 403)])
def test_others_may_not_deliver(
    anyone: Client, token_for: Callable[..., str], scope: Scope | None, status: int
) -> None:
    headers = {"authorization": f"Bearer {token_for(scope)}"} if scope else {}
    answer = anyone.post("/api/alerts/alertmanager", "{}", content_type="application/json", headers=headers)
    assert answer.status_code == status
    assert anyone.get("/api/alerts/alertmanager").status_code == 405


def test_a_new_critical_alert_reaches_the_deployment_that_bakes(deliver: Deliver, enrol: Enrol) -> None:
    server = enrol()
    Environment.objects.update(bake_action=Environment.BakeAction.PAUSE)
    row = records.deployment(server)
    Deployment.objects.update(bake_until=timezone.now() + timedelta(minutes=5))
    deliver(told())  # it began long before
    assert not Environment.objects.get(name="production").locked
    deliver(told(startsAt=timezone.now().isoformat(), fingerprint="ab"))
    locked = Environment.objects.get(name="production")
    assert locked.locked
    assert f"deployment {row.pk}" in locked.lock_reason


def test_a_text_that_is_too_long_is_cut_and_says_so(deliver: Deliver, enrol: Enrol) -> None:
    enrol()
    long = told(fingerprint="ab", annotations={"summary": "short", "description": "d" * 4001}, generatorURL="u" * 4001)
    long["labels"] = {"n" * 4001: "v" * 9000, **long["labels"]}
    assert deliver(long, told()).status_code == 204
    alert = Alert.objects.get(fingerprint="ab")
    assert alert.annotations["summary"] == "short"
    assert len(alert.annotations["description"]) <= 4000
    assert alert.annotations["description"].endswith(" characters left out]")
    assert alert.name == "BotDown"
    assert Alert.objects.count() == 2
    assert set(AlertReceipt.objects.values_list("left_out", flat=True)) == {0}


def test_more_labels_than_are_kept_leave_those_that_matter(deliver: Deliver, enrol: Enrol) -> None:
    server = enrol()
    many = {f"label{number}": "x" for number in range(200)}
    assert deliver(told(labels={**many, "alertname": "BotDown", "server": server.name})).status_code == 204
    alert = Alert.objects.get()
    assert (alert.name, alert.server, len(alert.labels)) == ("BotDown", server, 100)
    assert alert.labels["left_out"] == "103 more"


def test_more_alerts_than_are_kept_are_counted(deliver: Deliver, enrol: Enrol, member: Client) -> None:
    enrol()
    ended = [told("resolved", fingerprint=f"e{number}") for number in range(3)]
    fires = [told(fingerprint=f"f{number}") for number in range(1001)]
    body = {"version": "4", "receiver": "portal", "groupKey": "{}", "truncatedAlerts": 41, "alerts": ended + fires}
    assert deliver(body=body).status_code == 204
    assert Alert.objects.filter(status="firing").count() == 1000
    assert set(AlertReceipt.objects.values_list("left_out", flat=True)) == {4 + 41}
    assert "45 more alerts were in these deliveries" in member.get("/alerts/").content.decode()
    first = Alert.objects.earliest("pk")
    assert "45 alerts left out" in member.get(f"/alerts/{first.pk}/").content.decode()


@pytest.mark.parametrize("count", [0, 7])
def test_what_alertmanager_left_out_is_shown_until_it_is_whole_again(
    deliver: Deliver, enrol: Enrol, member: Client, count: int
) -> None:
    enrol()
    for left_out in (12, count):
        deliver(
            body={"version": "4", "receiver": "x", "groupKey": "g", "truncatedAlerts": left_out, "alerts": [told()]}
        )
    page = member.get("/alerts/").content.decode()
    assert "12 more alerts" not in page
    assert ("7 more alerts were in these deliveries" in page) == bool(count)


@pytest.mark.parametrize(
    "odd",
    [
        told(status="odd"),
        told(fingerprint="../.."),
        told(startsAt="0001-01-01T00:00:00+14:00"),
        told(labels={"a": 1}),
        told(labels={"a": "\x00"}),
        {},
        None,
        [],
    ],
    ids=str,
)
def test_an_alert_that_is_none_costs_the_others_nothing(deliver: Deliver, enrol: Enrol, odd: Any) -> None:
    enrol()
    assert deliver(odd, told(fingerprint="ab")).status_code == 204
    assert Alert.objects.get().fingerprint == "ab"
    assert AlertReceipt.objects.get().left_out == 1


def test_a_group_key_of_any_length_is_taken(deliver: Deliver, enrol: Enrol) -> None:
    enrol()
    body = {"version": "4", "receiver": "portal", "groupKey": "k" * 9000, "alerts": [told()]}
    assert deliver(body=body).status_code == 204

"""Taking alerts in hand: for a while, for one occurrence, by those who may, and seen wherever the alert is seen."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import timezone

from alerting import selectors
from alerting.acknowledgements import acknowledge, end_run_out, withdraw
from alerting.inbox import Delivery, Report, receive
from alerting.models import Acknowledgement, Alert
from dashboard.models import StatusPage
from deployments.core.actors import Actor
from deployments.models import AuditEvent, Environment, NotificationChannel, NotificationDelivery, Scope, Server
from engine.errors import Conflict, InvalidRequest, NotAllowed
from tests.dashboard import records
from tests.fixtures.records import MakePerson

pytestmark = pytest.mark.django_db
Enrol = Callable[..., Server]
HOUR = timedelta(hours=1)


def told(alert: Alert, status: str, **more: Any) -> None:
    report = Report(
        fingerprint=alert.fingerprint,
        status=status,
        starts_at=more.get("starts_at", alert.starts_at),
        labels={"alertname": alert.name, "severity": "critical", "environment": "production", "server": "prod-1"},
    )
    receive(delivery=Delivery("people", "{}", [report]))


def shown() -> selectors.Shown:
    (found,) = selectors.firing(timezone.now())
    return found


def member(name: str) -> Client:
    client = Client()
    client.force_login(User.objects.get(username=name), backend="django.contrib.auth.backends.ModelBackend")
    return client


def test_somebody_has_it_in_hand_and_everybody_sees_who(alert: Alert, olga: Actor, anyone: Client) -> None:
    StatusPage.objects.create(pk=1, show_alerts=True)
    acknowledge(actor=olga, alert=alert, comment="restarting it", lasting=HOUR)
    inside = member("olga")
    for path in ("/", "/alerts/", f"/alerts/{alert.pk}/", "/bots/prod-1/"):
        page = inside.get(path).content.decode()
        assert "restarting it" in page, path
        assert "olga" in page, path
    for path in ("/", "/bots/prod-1/"):
        outside = anyone.get(path).content.decode()
        assert "acknowledged" in outside, path
        assert "restarting it" not in outside, path
    assert "1 alert fires, acknowledged" in inside.get("/alerts/").content.decode()
    event = AuditEvent.objects.get(name="alert.acknowledged")
    assert (event.actor, event.subject, event.environment) == ("olga", f"alert:{alert.pk}", "production")
    assert event.data["comment"] == "restarting it"


def test_it_runs_out_by_itself_even_where_no_worker_is(alert: Alert, olga: Actor) -> None:
    long_ago = timezone.now() - timedelta(hours=2)
    acknowledge(actor=olga, alert=alert, comment="on it", lasting=HOUR, now=long_ago)
    assert shown().loud
    assert "1 critical alert needs action" in member("olga").get("/alerts/").content.decode()


def test_when_it_has_run_out_people_are_told_once_that_the_alert_still_fires(alert: Alert, olga: Actor) -> None:
    NotificationChannel.objects.create(name="ops", url="json://127.0.0.1:9/")
    held = acknowledge(actor=olga, alert=alert, comment="on it", lasting=HOUR)
    assert end_run_out(held.expires_at - timedelta(seconds=1)) == 0
    assert end_run_out(held.expires_at) == 1
    assert end_run_out(held.expires_at + HOUR) == 0
    message = NotificationDelivery.objects.get()
    assert message.title == "production: BotDown still fires, and nobody has acknowledged it"
    assert f"/alerts/{alert.pk}/" in message.body
    assert AuditEvent.objects.filter(name="alert.acknowledgement_ran_out").count() == 1
    assert Acknowledgement.objects.get().ending == "expired"


def test_it_ends_with_the_alert_and_does_not_hide_the_next_one(alert: Alert, olga: Actor) -> None:
    acknowledge(actor=olga, alert=alert, comment="on it", lasting=HOUR)
    told(alert, "resolved")
    assert Acknowledgement.objects.get().ending == "resolved"
    assert selectors.firing(timezone.now()) == []
    told(alert, "firing", starts_at=timezone.now())
    assert shown().loud
    assert end_run_out(timezone.now() + 2 * HOUR) == 0, "nobody is told of what has ended"


def test_the_same_occurrence_that_fires_again_after_its_end_is_loud(alert: Alert, olga: Actor) -> None:
    acknowledge(actor=olga, alert=alert, comment="on it", lasting=HOUR)
    told(alert, "resolved")
    told(alert, "firing")
    assert shown().loud


def test_being_told_again_that_it_fires_changes_nothing(alert: Alert, olga: Actor) -> None:
    acknowledge(actor=olga, alert=alert, comment="on it", lasting=HOUR)
    told(alert, "firing")
    assert not shown().loud


def test_an_occurrence_whose_end_nobody_told_takes_its_acknowledgement_with_it(alert: Alert, olga: Actor) -> None:
    acknowledge(actor=olga, alert=alert, comment="on it", lasting=HOUR)
    told(alert, "firing", starts_at=timezone.now())
    assert shown().loud
    assert Acknowledgement.objects.get().ending == "resolved"


def test_acknowledging_anew_takes_the_place_of_the_old(alert: Alert, olga: Actor, make_person: MakePerson) -> None:
    acknowledge(actor=olga, alert=alert, comment="on it", lasting=HOUR)
    acknowledge(actor=make_person("anna", "approver"), alert=alert, comment="I take over", lasting=2 * HOUR)
    held = shown().held
    assert held is not None
    assert (held.actor, held.comment) == ("anna", "I take over")
    assert list(Acknowledgement.objects.values_list("ending", flat=True)) == ["", "replaced"]
    with pytest.raises(IntegrityError), transaction.atomic():
        Acknowledgement.objects.update(ended_at=None, ending="")


def test_a_comment_is_asked_of_nobody_and_invented_for_nobody(alert: Alert, olga: Actor) -> None:
    assert acknowledge(actor=olga, alert=alert, lasting=HOUR).comment == ""
    assert AuditEvent.objects.get(name="alert.acknowledged").data["comment"] == ""


def test_it_can_be_withdrawn_once(alert: Alert, olga: Actor) -> None:
    acknowledge(actor=olga, alert=alert, comment="on it", lasting=HOUR)
    assert withdraw(actor=olga, alert=alert).ending == "withdrawn"
    assert shown().loud
    with pytest.raises(Conflict, match="Nobody has acknowledged BotDown"):
        withdraw(actor=olga, alert=alert)


def test_what_cannot_be_acknowledged_says_why(alert: Alert, olga: Actor, make_person: MakePerson) -> None:
    for comment, lasting, said in (
        (" \x00 ", HOUR, "holds the character"),
        ("x" * 501, HOUR, "500 characters"),
        ("x", timedelta(0), "from 1 minute to 7 days"),
        ("x", timedelta(days=8), "from 1 minute to 7 days"),
    ):
        with pytest.raises(InvalidRequest, match=said):
            acknowledge(actor=olga, alert=alert, comment=comment, lasting=lasting)
    with pytest.raises(NotAllowed, match="operator"):
        acknowledge(actor=make_person("vera", "viewer"), alert=alert, comment="x", lasting=HOUR)
    switch = records.alert(alert.environment, "DeadMansSwitch", severity="none")  # type: ignore[arg-type]  # it has one
    with pytest.raises(InvalidRequest, match="fires always"):
        acknowledge(actor=olga, alert=switch, comment="x", lasting=HOUR)
    told(alert, "resolved")
    with pytest.raises(Conflict, match="has ended"):
        acknowledge(actor=olga, alert=alert, comment="x", lasting=HOUR)
    assert not Acknowledgement.objects.exists()


def test_a_form_that_was_refused_says_why_and_keeps_what_was_written(alert: Alert, olga: Actor) -> None:
    address = f"/alerts/{alert.pk}/acknowledge"
    answer = member("olga").post(address, {"comment": "on it", "minutes": "never"})
    assert answer.status_code == 422
    assert "lasts from 1 minute" in answer.content.decode()
    assert 'value="on it"' in answer.content.decode()
    assert member("olga").get(address).status_code == 302
    assert Client().post(address).headers["Location"].startswith("/admin/login/")
    assert member("olga").post("/alerts/999/acknowledge").status_code == 404


def test_viewers_see_the_inbox_and_are_offered_no_form(alert: Alert, make_person: MakePerson) -> None:
    make_person("vera", "viewer")
    assert member("vera").get("/alerts/").status_code == 200
    assert "<form" not in member("vera").get(f"/alerts/{alert.pk}/").content.decode().split('id="main"')[1]
    assert Client().get("/alerts/").status_code == 302


def test_history_is_filtered_and_paged(alert: Alert, olga: Actor) -> None:
    for number in range(60):
        more = {"fingerprint": f"e{number}", "severity": "info", "status": "resolved", "ends_at": timezone.now()}
        records.alert(Environment.objects.get(name="test"), "ChannelEmpty", **more)
    client = member("olga")
    first = client.get("/alerts/?q=channel&environment=test#history").content.decode()
    assert first.split('id="history"')[1].count('<span class="muted">ChannelEmpty</span>') == 50
    assert ">BotDown<" not in first.split('id="history"')[1]
    rest = selectors.page(
        selectors.Filter(text="channel", before=selectors.page(selectors.Filter(), timezone.now()).next_before),
        timezone.now(),
    )
    assert len(rest.rows) == 10
    assert client.get("/alerts/?before=x&status=odd&q=%00").status_code == 200


def test_the_number_of_queries_does_not_grow_with_the_alerts(
    alert: Alert, olga: Actor, django_assert_max_num_queries: Callable[[int], Any]
) -> None:
    acknowledge(actor=olga, alert=alert, comment="on it", lasting=HOUR)
    client = member("olga")
    for number in range(40):
        records.alert(alert.environment, fingerprint=f"f{number}")  # type: ignore[arg-type]  # it has one
    frame = 15  # how things stand, the counts of the navigation, where the roles hold and to whom, on whole pages
    beside = 9  # an alert's whole page has charts, deployments and what can be done, too
    for path, own, whole in (("/alerts/", 16, 0), (f"/alerts/{alert.pk}/", 17, beside)):
        with django_assert_max_num_queries(own):
            client.get(f"{path}?part=live")
        with django_assert_max_num_queries(own + frame + whole):
            client.get(path)


def test_an_alert_names_the_deployment_that_was_running_when_it_began(alert: Alert, olga: Actor) -> None:
    server = alert.server
    assert server is not None
    before = records.deployment(server, at=alert.starts_at - timedelta(hours=1))
    page = member("olga").get(f"/alerts/{alert.pk}/").content.decode()
    assert f"#{before.pk} {before.aim}</a>" in page
    assert "after <a" in page
    running = records.deployment(server, at=alert.starts_at - timedelta(seconds=2), seconds=5)
    records.deployment(server, at=alert.starts_at + timedelta(minutes=1))
    page = member("olga").get(f"/alerts/{alert.pk}/").content.decode()
    assert f"#{running.pk} {running.aim}</a>" in page
    assert "was running" in page


def test_programs_read_acknowledge_and_withdraw(alert: Alert, olga: Actor, token_for: Callable[..., str]) -> None:
    token = token_for(Scope.READ, Scope.ALERTS, owner=User.objects.get(username="olga"))
    headers = {"authorization": f"Bearer {token}"}
    at = f"/api/v1/alerts/{alert.pk}"
    sent = {"comment": "on it", "minutes": 60}
    told = Client().post(f"{at}/acknowledgement", sent, content_type="application/json", headers=headers).json()
    assert told["acknowledgement"]["comment"] == "on it"
    assert told["acknowledgement"]["actor"].startswith("olga/token:")
    assert Client().get("/api/v1/alerts", headers=headers).json()["items"][0]["acknowledgement"] is not None
    assert Client().delete(f"{at}/acknowledgement", headers=headers).json()["acknowledgement"] is None
    again = Client().delete(f"{at}/acknowledgement", headers=headers)
    assert (again.status_code, again.json()["reason"]) == (409, "not_acknowledged")
    assert Client().get("/api/v1/alerts/999", headers=headers).status_code == 404


def test_a_token_of_another_environment_neither_sees_nor_acknowledges(
    alert: Alert, olga: Actor, token_for: Callable[..., str]
) -> None:
    elsewhere = Environment.objects.get(name="test")
    token = token_for(Scope.READ, Scope.ALERTS, owner=User.objects.get(username="olga"), environment=elsewhere)
    headers = {"authorization": f"Bearer {token}"}
    at = f"/api/v1/alerts/{alert.pk}/acknowledgement"
    sent = {"comment": "on it", "minutes": 60}
    assert Client().post(at, sent, content_type="application/json", headers=headers).status_code == 404
    assert not Acknowledgement.objects.exists()

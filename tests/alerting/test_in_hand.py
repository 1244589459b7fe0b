"""An alert may wait, belongs to somebody, or is silenced: and everybody sees which, and finds it again."""

import json
import re
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from alerting import selectors
from alerting.acknowledgements import acknowledge, end_run_out, snooze, withdraw
from alerting.assignments import assign
from alerting.models import Acknowledgement, Alert
from alerting.summary import summary
from dashboard.tasks import tend_alerts
from deployments.core.actors import Actor
from deployments.models import (
    Application,
    AuditEvent,
    Environment,
    NotificationChannel,
    NotificationDelivery,
    Scope,
    Server,
)
from engine.errors import Conflict, InvalidRequest, NotAllowed
from tests.dashboard import records
from tests.fixtures.records import MakePerson

pytestmark = pytest.mark.django_db
Enrol = Callable[..., Server]
HOUR = timedelta(hours=1)


@pytest.fixture
def member(olga: Actor) -> Client:
    return signed_in("olga")


def signed_in(name: str) -> Client:
    client = Client()
    client.force_login(User.objects.get(username=name), backend="django.contrib.auth.backends.ModelBackend")
    return client


def states() -> dict[str, str]:
    return {one.alert.name: one.state for one in selectors.firing(timezone.now())}


def test_a_snooze_lets_an_alert_wait_and_it_comes_back_by_itself(alert: Alert, olga: Actor, member: Client) -> None:
    NotificationChannel.objects.create(name="ops", url="json://127.0.0.1:9/")
    now = timezone.now()
    held = snooze(actor=olga, alert=alert, until=now + HOUR, now=now)
    assert held.kind == Acknowledgement.Kind.SNOOZED
    assert states() == {"BotDown": "snoozed"}
    for path in ("/", "/alerts/", f"/alerts/{alert.pk}/", "/bots/prod-1/"):
        page = member.get(path).content.decode().lower()
        assert "snoozed" in page, path
        assert 'class="pill alert-acknowledged' not in page, path
    assert "1 alert fires, snoozed" in member.get("/alerts/").content.decode()
    event = AuditEvent.objects.get(name="alert.snoozed")
    assert (event.actor, event.subject, event.environment) == ("olga", f"alert:{alert.pk}", "production")
    assert summary(now + HOUR).need == "1 critical alert needs action", "no worker is needed for its end"
    assert end_run_out(now + HOUR) == 1
    assert NotificationDelivery.objects.get().title == "production: BotDown still fires, and its snooze has ended"
    assert AuditEvent.objects.filter(name="alert.snooze_ended").count() == 1


def test_acknowledging_what_was_snoozed_takes_its_place_and_waking_it_withdraws(alert: Alert, olga: Actor) -> None:
    snooze(actor=olga, alert=alert, until=timezone.now() + HOUR)
    acknowledge(actor=olga, alert=alert, comment="on it", lasting=HOUR)
    assert states() == {"BotDown": "acknowledged"}
    snooze(actor=olga, alert=alert, until=timezone.now() + HOUR, comment="after the film")
    assert withdraw(actor=olga, alert=alert).kind == Acknowledgement.Kind.SNOOZED
    assert states() == {"BotDown": "open"}


def test_a_snooze_that_cannot_be_says_why(alert: Alert, olga: Actor, make_person: MakePerson) -> None:
    now = timezone.now()
    for until in (now - HOUR, now, now + timedelta(days=8)):
        with pytest.raises(InvalidRequest, match="from 1 minute to 7 days"):
            snooze(actor=olga, alert=alert, until=until, now=now)
    with pytest.raises(NotAllowed):
        snooze(actor=make_person("vera", "viewer"), alert=alert, until=now + HOUR)
    Alert.objects.update(status=Alert.Status.RESOLVED, ends_at=now)
    with pytest.raises(Conflict, match="has ended"):
        snooze(actor=olga, alert=alert, until=now + HOUR)
    assert not AuditEvent.objects.filter(name="alert.snoozed").exists()


def test_an_alert_is_given_to_somebody_and_back(alert: Alert, olga: Actor, make_person: MakePerson) -> None:
    make_person("anna", "approver")
    assign(actor=olga, alert=alert, to="anna")
    assert Alert.objects.get().assignee == User.objects.get(username="anna")
    assert "assigned to anna" in signed_in("olga").get("/alerts/").content.decode()
    assert summary(timezone.now()).need == "1 critical alert needs action", "given is not yet done"
    assign(actor=olga, alert=alert, to="anna")
    assert AuditEvent.objects.filter(name="alert.assigned").count() == 1, "nothing changed"
    assign(actor=olga, alert=alert, to="")
    assert Alert.objects.get().assignee is None
    last = AuditEvent.objects.filter(name="alert.assigned").latest("sequence")
    assert last.data == {"alert": "BotDown", "to": "", "from": "anna"}


def test_an_alert_is_given_to_nobody_who_could_do_nothing_about_it(
    alert: Alert, olga: Actor, make_person: MakePerson
) -> None:
    vera = make_person("vera", "viewer")
    for name in ("vera", "nobody-of-that-name", "a\x00b"):
        with pytest.raises(InvalidRequest, match="operator or approver"):
            assign(actor=olga, alert=alert, to=name)
    with pytest.raises(NotAllowed):
        assign(actor=vera, alert=alert, to="olga")
    User.objects.filter(username="olga").update(is_active=False)
    with pytest.raises(InvalidRequest):
        assign(actor=olga, alert=alert, to="olga")


@pytest.mark.parametrize("how", ["switched off", "without the role", "elsewhere"])
def test_who_may_do_nothing_about_an_alert_any_more_has_it_no_more(
    how: str, alert: Alert, olga: Actor, make_person: MakePerson
) -> None:
    anna = make_person("anna", "operator")
    other = records.alert(alert.environment, "BotErrors")  # type: ignore[arg-type]  # it has one
    acknowledge(actor=anna, alert=alert, comment="on it", lasting=HOUR)
    assign(actor=olga, alert=alert, to="anna")
    assign(actor=olga, alert=other, to="olga")
    NotificationChannel.objects.create(name="ops", url="json://127.0.0.1:9/")
    tend_alerts()
    assert (states()["BotDown"], Alert.objects.get(name="BotDown").assignee) == ("acknowledged", person("anna"))

    if how == "switched off":
        User.objects.filter(username="anna").update(is_active=False)
    elif how == "without the role":
        person("anna").groups.clear()
    else:
        Application.objects.create(name="tea-bot").people.add(person("anna"))
    tend_alerts()
    tend_alerts()
    assert (states()["BotDown"], Alert.objects.get(name="BotDown").assignee) == ("open", None)
    assert Alert.objects.get(name="BotErrors").assignee == person("olga")
    last = AuditEvent.objects.filter(name="alert.assigned").latest("sequence")
    assert (last.actor, last.data) == ("system:schedule", {"alert": "BotDown", "to": "", "from": "anna"})
    assert NotificationDelivery.objects.get().title == "production: BotDown still fires, and nobody has acknowledged it"


def person(name: str) -> User:
    return User.objects.get(username=name)


def test_the_oldest_critical_alert_is_shown_however_many_newer_ones_there_are(alert: Alert, member: Client) -> None:
    now = timezone.now()
    Alert.objects.filter(pk=alert.pk).update(starts_at=now - timedelta(days=3))
    Alert.objects.bulk_create(
        Alert(fingerprint=f"{n}", name="ServerDrifted", severity="warning", status="firing", starts_at=now)
        for n in range(selectors.MOST_FIRING + 5)
    )
    found = summary(now)
    assert found.firing[0].alert == alert
    assert (len(found.firing), found.unlisted) == (selectors.MOST_FIRING, 6)
    assert found.need == "At least 200 alerts need action, 1 of them critical"
    page = member.get("/alerts/").content.decode()
    assert "206 firing, the 200 worst of them below." in page
    assert page.index("Choose BotDown ") < page.index("Choose ServerDrifted ")


def test_what_nobody_has_in_hand_is_shown_before_what_somebody_has(alert: Alert, olga: Actor) -> None:
    now = timezone.now()
    Alert.objects.bulk_create(
        Alert(
            fingerprint=f"{n}",
            name="BotErrors",
            severity="critical",
            status="firing",
            starts_at=now,
            silenced_until=now + HOUR,
        )
        for n in range(selectors.MOST_FIRING)
    )
    Alert.objects.filter(pk=alert.pk).update(severity="warning", starts_at=now - timedelta(days=3))
    assert summary(now).need == "At least 1 alert needs action"


def test_a_number_that_is_none_names_no_other_alert(alert: Alert, member: Client) -> None:
    Alert.objects.filter(pk=alert.pk).update(id=123456789012345)
    for number in ("1234567890123456", "²", "-1", "1" * 5000, "123456789012345x"):
        answer = member.post("/alerts/act", {"do": "acknowledge", "alert": [number], "minutes": "60"}, follow=True)
        assert "No alert was chosen." in answer.content.decode(), number
    assert states() == {"BotDown": "open"}


def test_a_token_for_one_environment_does_nothing_about_alerts_of_none(
    alert: Alert, olga: Actor, token_for: Callable[..., str]
) -> None:
    """It may read them: they may be about its environment too."""
    Alert.objects.filter(pk=alert.pk).update(environment=None, server=None)
    text = token_for(Scope.ALERTS, Scope.READ, owner=person("olga"), environment=Environment.objects.get(name="test"))
    call = Client(headers={"Authorization": f"Bearer {text}"})
    address = f"/api/v1/alerts/{alert.pk}"
    assert call.get(address).status_code == 200
    until = (timezone.now() + HOUR).isoformat()
    for method, path, body in (
        ("post", "acknowledgement", {"comment": "x", "minutes": 5}),
        ("post", "snooze", {"until": until}),
        ("put", "assignee", {"name": "olga"}),
        ("delete", "acknowledgement", {}),
    ):
        answer = getattr(call, method)(f"{address}/{path}", json.dumps(body), content_type="application/json")
        assert (answer.status_code, "is for one environment" in answer.content.decode()) == (403, True), path
    assert states() == {"BotDown": "open"}
    assert not AuditEvent.objects.filter(subject=f"alert:{alert.pk}").exists()


def test_who_has_a_role_in_one_application_is_offered_what_may_be_done_there(
    alert: Alert, olga: Actor, member: Client
) -> None:
    Environment.objects.filter(name="production").update(application="rosey")
    Application.objects.get_or_create(name="rosey")[0].people.add(person("olga"))
    elsewhere = records.alert(Environment.objects.get(name="test"), "ServerDrifted")
    assert "Acknowledge all 2 that need action" in member.get("/alerts/").content.decode()
    sent = {"acknowledge": f"{alert.pk},{elsewhere.pk}", "minutes": "60"}
    page = member.post("/alerts/act", sent, follow=True).content.decode()
    assert "1 alert acknowledged for 1 hour." in page
    assert "not to acknowledge test" in page
    assert states() == {"BotDown": "acknowledged", "ServerDrifted": "open"}
    assert 'id="silence-title"' in member.get("/silences/").content.decode()


def several(alert: Alert) -> dict[str, Alert]:
    test, production = Environment.objects.get(name="test"), Environment.objects.get(name="production")
    return {
        "BotDown": alert,
        "BotErrors": records.alert(production, "BotErrors", severity="warning"),
        "ServerDrift": records.alert(test, "ServerDrift", severity="warning"),
        "ChannelEmpty": records.alert(test, "ChannelEmpty", severity="info"),
    }


def test_what_is_shown_is_chosen_in_the_address(alert: Alert, olga: Actor, member: Client) -> None:
    rows = several(alert)
    acknowledge(actor=olga, alert=rows["BotErrors"], comment="on it", lasting=HOUR)
    snooze(actor=olga, alert=rows["ServerDrift"], until=timezone.now() + HOUR)
    assign(actor=olga, alert=rows["ServerDrift"], to="olga")
    Alert.objects.filter(name="ChannelEmpty").update(silenced_until=timezone.now() + HOUR)
    for query, expected in (
        ("", set(rows)),
        ("severity=critical", {"BotDown"}),
        ("severity=warning&environment=test", {"ServerDrift"}),
        ("status=open", {"BotDown"}),
        ("status=acknowledged", {"BotErrors"}),
        ("status=snoozed", {"ServerDrift"}),
        ("status=silenced", {"ChannelEmpty"}),
        ("status=resolved", set()),
        ("assigned=me", {"ServerDrift"}),
        ("q=bot", {"BotDown", "BotErrors"}),
        ("severity=<odd>&assigned=nobody", set(rows)),
    ):
        page = member.get(f"/alerts/?{query}").content.decode().split('id="main"')[1]
        assert {name for name in rows if f"Choose {name} #" in page} == expected, query
        assert "1 critical alert needs action" in page, "the headline tells of all of them"


def test_a_click_sets_a_filter_and_says_how_many_it_shows(alert: Alert, olga: Actor, member: Client) -> None:
    rows = several(alert)
    acknowledge(actor=olga, alert=rows["BotErrors"], comment="on it", lasting=HOUR)

    def chips(query: str) -> list[tuple[str, str, str]]:
        page = member.get(f"/alerts/{query}").content.decode().split('class="chips"')[1].split("</ul>")[0]
        found = re.findall(r'<a href="([^"]*)"( aria-current="true")?>(.*?) <span class="number">(\d+)', page)
        return [(f"{label} {count}", address, "chosen" if chosen else "") for address, chosen, label, count in found]

    assert [(label, chosen) for label, _, chosen in chips("")] == [
        ("All 4", "chosen"), ("Needs action 2", ""), ("Acknowledged 1", ""), ("Critical 1", ""), ("Warning 2", ""),
        ("Info 1", ""), ("production 2", ""), ("test 2", ""),
    ]  # fmt: skip
    narrowed = {label: (address, chosen) for label, address, chosen in chips("?environment=test")}
    assert narrowed["Warning 1"] == ("/alerts/?environment=test&amp;severity=warning", "")
    assert narrowed["test 2"] == ("/alerts/", "chosen"), "the next click takes it away"
    assert "Critical 0" not in narrowed


def test_history_holds_what_has_ended_the_newest_first(alert: Alert, member: Client) -> None:
    test = Environment.objects.get(name="test")
    for name in ("BotErrors", "ServerDrift"):
        records.alert(test, name, status="resolved", ends_at=timezone.now())

    def history(query: str) -> list[str]:
        page = member.get(f"/alerts/{query}").content.decode()
        return re.findall(r'<span class="muted">(\w+)</span></td>', page.partition('id="history"')[2])

    assert history("") == history("?status=resolved") == ["ServerDrift", "BotErrors"]
    assert history("?q=drift") == ["ServerDrift"]
    assert history("?environment=production") == []
    assert 'id="history"' not in member.get("/alerts/?status=open").content.decode()


def test_what_needs_no_action_is_snoozed_and_what_somebody_has_is_given_back(alert: Alert, member: Client) -> None:
    info = records.alert(Environment.objects.get(name="test"), "ChannelEmpty", severity="info")
    page = member.get("/alerts/").content.decode()
    assert f'name="snooze" value="{info.pk}"' in page
    assert f'name="acknowledge" value="{info.pk}"' not in page
    member.post("/alerts/act", {"acknowledge": f"{alert.pk}", "minutes": "10080"})
    held = Acknowledgement.objects.get()
    assert held.expires_at - held.made_at < 2 * HOUR, "a row's button does what it says, whatever is chosen elsewhere"
    assert f'name="withdraw" value="{alert.pk}"' in member.get("/alerts/").content.decode()
    page = member.post("/alerts/act", {"withdraw": f"{alert.pk}"}, follow=True).content.decode()
    assert "1 alert unacknowledged again." in page
    assert states()["BotDown"] == "open"


def test_a_bots_page_acknowledges_and_stays(alert: Alert, member: Client, make_person: MakePerson) -> None:
    page = member.get("/bots/prod-1/").content.decode()
    assert f'name="acknowledge" value="{alert.pk}"' in page
    answer = member.post("/alerts/act", {"acknowledge": f"{alert.pk}", "bot": "prod-1"})
    assert answer.headers["Location"] == "/bots/prod-1/"
    assert states() == {"BotDown": "acknowledged"}
    for odd in ("nobody", "//evil.example", "../x"):
        assert member.post("/alerts/act", {"bot": odd}).headers["Location"] == "/alerts/"
    make_person("vera", "viewer")
    assert "<form" not in signed_in("vera").get("/bots/prod-1/").content.decode().split('id="main"')[1]


def test_what_is_silenced_alarms_nobody_is_marked_and_comes_back(alert: Alert, member: Client) -> None:
    Alert.objects.update(silenced_until=timezone.now() + HOUR)
    page = member.get("/alerts/").content.decode()
    assert "1 alert fires, silenced" in page
    assert ">silenced</span>" in page
    assert summary(timezone.now() + HOUR).need == "1 critical alert needs action"


def test_many_are_chosen_and_acted_on_at_once(alert: Alert, olga: Actor, member: Client) -> None:
    rows = several(alert)
    chosen = [rows["BotDown"].pk, rows["ServerDrift"].pk]

    def act(**sent: Any) -> str:
        return member.post("/alerts/act", sent, follow=True).content.decode()

    assert "No alert was chosen." in act(do="acknowledge")
    assert "2 alerts acknowledged for 30 minutes." in act(do="acknowledge", alert=chosen, minutes=30)
    assert states() == {
        "BotDown": "acknowledged", "ServerDrift": "acknowledged", "BotErrors": "open", "ChannelEmpty": "open",
    }  # fmt: skip
    assert "2 alerts snoozed for 4 hours." in act(do="snooze", alert=chosen, minutes=240)
    assert "2 alerts assigned to olga." in act(do="assign", alert=chosen, to="olga")
    assert Alert.objects.filter(assignee__username="olga").count() == 2
    Alert.objects.filter(name="ServerDrift").update(status="resolved", ends_at=timezone.now())
    told = act(do="acknowledge", alert=chosen, minutes=60)
    assert "1 alert acknowledged for 1 hour." in told
    assert "ServerDrift: ServerDrift has ended" in told, "what was left out is named"
    assert "lasts from 1 minute" in act(do="snooze", alert=chosen, minutes="x")
    assert act(do="explode", alert=chosen)


def test_one_row_is_acted_on_without_choosing_it(alert: Alert, member: Client) -> None:
    several(alert)
    page = member.get("/alerts/").content.decode()
    assert f'name="acknowledge" value="{alert.pk}"' in page
    member.post("/alerts/act", {"acknowledge": f"{alert.pk}", "minutes": "60"})
    assert states()["BotDown"] == "acknowledged"
    assert set(states().values()) == {"acknowledged", "open"}


def test_a_viewer_is_offered_nothing_to_choose(alert: Alert, make_person: MakePerson) -> None:
    make_person("vera", "viewer")
    page = signed_in("vera").get("/alerts/").content.decode().split('id="main"')[1]
    assert 'type="checkbox"' not in page
    assert 'method="post"' not in page


def test_an_action_returns_to_the_address_it_came_from_and_to_no_other_place(alert: Alert, member: Client) -> None:
    for given, expected in (
        ("severity=critical&environment=production", "/alerts/?environment=production&severity=critical"),
        ("https://evil.example/", "/alerts/"),
        ("severity=%0d%0aX:y", "/alerts/"),
    ):
        answer = member.post("/alerts/act", {"do": "acknowledge", "alert": alert.pk, "minutes": 60, "back": given})
        assert answer.headers["Location"] == expected


def test_the_alerts_own_page_snoozes_and_assigns(alert: Alert, member: Client) -> None:
    at = f"/alerts/{alert.pk}"
    assert member.post(f"{at}/snooze", {"minutes": "60"}).status_code == 302
    assert states() == {"BotDown": "snoozed"}
    assert member.post(f"{at}/assign", {"to": "olga"}).status_code == 302
    page = member.get(f"{at}/").content.decode()
    assert "assigned to olga" in page.lower()
    assert member.post(f"{at}/assign", {"to": "nobody"}).status_code == 422


def test_programs_snooze_and_assign(alert: Alert, olga: Actor, token_for: Callable[..., str]) -> None:
    token = token_for(Scope.READ, Scope.ALERTS, owner=User.objects.get(username="olga"))
    headers = {"authorization": f"Bearer {token}"}
    at = f"/api/v1/alerts/{alert.pk}"
    sent = {"until": (timezone.now() + HOUR).isoformat()}
    told = Client().post(f"{at}/snooze", sent, content_type="application/json", headers=headers).json()
    assert told["state"] == "snoozed"
    assert told["acknowledgement"]["kind"] == "snoozed"
    told = Client().put(f"{at}/assignee", {"name": "olga"}, content_type="application/json", headers=headers).json()
    assert told["assignee"] == "olga"
    listed = Client().get("/api/v1/alerts?severity=critical&state=snoozed&assignee=olga", headers=headers).json()
    assert [one["number"] for one in listed["items"]] == [alert.pk]
    assert Client().get("/api/v1/alerts?state=open", headers=headers).json()["items"] == []
    refused = Client().put(f"{at}/assignee", {"name": "x"}, content_type="application/json", headers=headers)
    assert (refused.status_code, refused.json()["reason"]) == (422, "no_assignee")


def test_the_command_line_lists_and_does_the_same(
    alert: Alert, olga: Actor, token_for: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    token = token_for(Scope.READ, Scope.ALERTS, owner=User.objects.get(username="olga"))
    monkeypatch.setenv("PORTAL_TOKEN", token)
    number = str(alert.pk)

    def run(*arguments: str) -> Any:
        out = StringIO()
        call_command("alerts", *arguments, "--json", stdout=out)
        return json.loads(out.getvalue())

    assert [one["state"] for one in run()] == ["open"]
    assert [one["state"] for one in run("acknowledge", number, "--comment", "on it", "--for", "30")] == ["acknowledged"]
    assert [one["state"] for one in run("snooze", number, "--for", "60")] == ["snoozed"]
    assert [one["assignee"] for one in run("assign", number, "--to", "olga")] == ["olga"]
    assert [one["name"] for one in run("--status", "snoozed", "--assignee", "olga")] == ["BotDown"]
    assert [one["state"] for one in run("withdraw", number)] == ["open"]
    out = StringIO()
    call_command("alerts", stdout=out)
    assert "BotDown" in out.getvalue()
    assert "critical" in out.getvalue()

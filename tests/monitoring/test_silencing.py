"""People's silences in a real Alertmanager, from the page and the API; and ends that nobody tells."""

import html
import json
import re
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from alerting import inbox as deliveries
from alerting import maintenance, silenced, silences
from alerting.acknowledgements import acknowledge
from alerting.alert_expiry import end_unheard
from alerting.dead_mans_switch import SILENT, SWITCH
from alerting.inbox import Delivery, Report
from alerting.models import Alert
from alerting.silences import Wanted
from dashboard.tasks import tend_alerts
from deployments.access.policy import user_actor
from deployments.access.tokens import issue_token
from deployments.audit import trail
from deployments.core.actors import Actor
from deployments.core.alertmanager import alertmanager
from deployments.models import Application, AuditEvent, Environment, Scope
from engine.alertmanager import Alertmanager, AlertmanagerUnreachable, Matcher
from engine.errors import Conflict, InvalidRequest, NotAllowed, NotFound
from sandbox.monitoring import Monitoring
from tests.fixtures.records import MakePerson
from tests.monitoring.waiting import until

pytestmark = [pytest.mark.monitoring, pytest.mark.xdist_group("monitoring"), pytest.mark.django_db]
HOUR = timedelta(hours=1)
BOT_DOWN = {"alertname": "BotDown", "severity": "critical", "environment": "production", "server": "prod-1"}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monitoring]:
    wanted = {"portal": {"url": "http://127.0.0.1:9"}, "prometheus": {"interval": "1s"}}
    with Monitoring(tmp_path_factory.mktemp("watch"), wanted, {"monitoring-token": "x"}) as watching:
        yield watching


@pytest.fixture(autouse=True)
def asked(running: Monitoring, settings: Any, static_files: None, state_dir: Path) -> None:
    settings.ALERTMANAGER_URL = running.alertmanager_url
    for one in silences.standing():
        alertmanager().expire_silence(one.identifier)
    fire(server="known")  # a silence is of what exists


@pytest.fixture
def olga(make_person: MakePerson) -> Actor:
    return make_person("olga", "operator")


def fire(**labels: str) -> None:
    now = timezone.now()
    alertmanager().post_alert(labels=BOT_DOWN | labels, annotations={}, starts_at=now, ends_at=now + HOUR)


def state_of(server: str) -> str:
    return next((one.state for one in alertmanager().alerts() if one.labels.get("server") == server), "unknown")


def held(server: str) -> Alert:
    """The record that the portal would have of what Alertmanager holds about a server."""
    one = next(each for each in alertmanager().alerts() if each.labels.get("server") == server)
    return Alert(fingerprint=one.fingerprint, name=one.name, labels=dict(one.labels), starts_at=one.starts_at)


def member(name: str) -> Client:
    client = Client()
    client.force_login(User.objects.get(username=name), backend="django.contrib.auth.backends.ModelBackend")
    return client


def test_what_a_silence_would_hush_is_shown_first_and_hushed_then(olga: Actor) -> None:
    fire(server="prod-1")
    fire(server="prod-2")
    client = member("olga")
    sent = {"alertname": "BotDown", "server": "prod-1", "environment": "production", "minutes": "60", "reason": "move"}
    seen = client.post("/silences/", {**sent, "do": "preview"}).content.decode()
    assert "1 alert that fires now matches." in seen
    assert "prod-2" not in seen
    assert silences.standing() == []
    assert not AuditEvent.objects.filter(name="silence.made").exists()

    assert client.post("/silences/", {**sent, "do": "silence"}).status_code == 302
    until(lambda: state_of("prod-1") == "suppressed", "the silence to hold")
    assert state_of("prod-2") == "active"
    (one,) = silences.standing()
    assert (one.created_by, one.comment) == ("olga", "move")
    assert timedelta(minutes=59) < one.ends_at - timezone.now() <= HOUR
    event = AuditEvent.objects.get(name="silence.made")
    assert (event.actor, event.environment, event.subject) == ("olga", "production", f"silence:{one.identifier}")
    assert event.data["matchers"] == ['alertname="BotDown"', 'environment="production"', 'server="prod-1"']
    page = client.get("/silences/").content.decode()
    assert "move" in page
    assert "olga" in page

    assert client.post(f"/silences/{one.identifier}/lift").status_code == 302
    assert silences.standing() == []
    until(lambda: state_of("prod-1") == "active", "the alert to be loud again")
    assert AuditEvent.objects.get(name="silence.lifted").data["made_by"] == "olga"
    with pytest.raises(Conflict, match="ended already"):
        silences.lift(actor=olga, identifier=one.identifier)
    with pytest.raises(NotFound, match="no such silence"):
        silences.lift(actor=olga, identifier="6f0e4f0b-5f0c-4a52-9b1c-0c1b5a3f2d11")


def test_an_alertmanager_that_is_away_is_one_sentence_and_no_record(olga: Actor, settings: Any) -> None:
    settings.ALERTMANAGER_URL = "http://127.0.0.1:9"
    client = member("olga")
    assert "Alertmanager does not answer at http://127.0.0.1:9" in client.get("/silences/").content.decode()
    for do in ("preview", "silence"):
        answer = client.post("/silences/", {"alertname": "BotDown", "minutes": "60", "reason": "keep this", "do": do})
        assert answer.status_code == 502
        assert "Alertmanager does not answer" in answer.content.decode()
        assert "keep this" in answer.content.decode()
    assert client.post("/silences/6f0e4f0b-5f0c-4a52-9b1c-0c1b5a3f2d11/lift").status_code == 502
    with pytest.raises(AlertmanagerUnreachable):
        silences.silence(actor=olga, wanted=Wanted("BotDown"), reason="x", lasting=HOUR)
    assert not AuditEvent.objects.filter(name__startswith="silence.").exists()
    alert = Alert.objects.create(
        fingerprint="a", name="BotDown", status="firing", labels=BOT_DOWN, starts_at=timezone.now()
    )
    assert "Whether it is silenced is not known." in client.get(f"/alerts/{alert.pk}/").content.decode()


def test_a_silence_that_cannot_be_recorded_does_not_stay(olga: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_facts: Any) -> None:
        raise RuntimeError("the disk is full")

    monkeypatch.setattr(trail, "record", refuse)
    with pytest.raises(RuntimeError):
        silences.silence(actor=olga, wanted=Wanted("BotDown"), reason="x", lasting=HOUR)
    assert silences.standing() == []


def test_what_cannot_be_silenced_says_why(olga: Actor, make_person: MakePerson) -> None:
    fire(alertname=SWITCH, severity="none")
    for wanted, reason, lasting, said in (
        (Wanted(), "x", HOUR, "silence of everything"),
        (Wanted(SWITCH), "x", HOUR, "its absence"),
        (Wanted(environment="nowhere"), "x", HOUR, "no such environment"),
        (Wanted("a\nb"), "x", HOUR, "printable"),
        (Wanted("NoSuch<b>"), "x", HOUR, "No alert has ever had alertname 'NoSuch<b>'"),
        (Wanted(server="nowhere-1"), "x", HOUR, "No alert has ever had server"),
        (Wanted(others=(("severity", "odd"),)), "x", HOUR, "No alert has ever had severity"),
        (Wanted(others=(("a b", "c"),)), "x", HOUR, "no name of a label"),
        (Wanted(environment="production", others=(("severity:info", ""),)), "x", HOUR, "no name of a label"),
        (Wanted("BotDown", others=(("severity", ""),)), "x", HOUR, "A label has a value"),
        (Wanted(others=(("severity", "none"),)), "x", HOUR, "its absence"),
        (Wanted("BotDown"), " ", HOUR, "needs a reason"),
        (Wanted("BotDown"), "x" * 501, HOUR, "500 characters"),
        (Wanted("BotDown"), "x", timedelta(0), "1 minute to 30 days"),
        (Wanted("BotDown"), "x", timedelta(days=31), "1 minute to 30 days"),
    ):
        with pytest.raises(InvalidRequest, match=said):
            silences.silence(actor=olga, wanted=wanted, reason=reason, lasting=lasting)
    with pytest.raises(NotAllowed, match="operator"):
        silences.silence(actor=make_person("anna", "approver"), wanted=Wanted("BotDown"), reason="x", lasting=HOUR)
    assert silences.standing() == []


def test_what_was_silenced_elsewhere_is_listed_and_lifted_there_alone(olga: Actor) -> None:
    now = timezone.now()
    strange = alertmanager().create_silence(
        matchers=[Matcher("alertname", ".+", regex=True)],
        starts_at=now,
        ends_at=now + HOUR,
        created_by="a stranger",
        comment="x",
    )
    client = member("olga")
    page = client.get("/silences/").content.decode()
    assert "not made here" in page
    assert f"/silences/{strange}/lift" not in page
    with pytest.raises(NotAllowed, match="not made here, but by a stranger"):
        silences.lift(actor=olga, identifier=strange)
    assert [one.identifier for one in silences.standing()] == [strange]
    assert not AuditEvent.objects.filter(name="silence.lifted").exists()


def test_an_alerts_labels_are_ticked_and_what_they_match_is_shown_before(olga: Actor) -> None:
    fire(server="prod-8", severity="warning")
    fire(server="prod-9")
    alert = held("prod-8")
    alert.status, alert.severity = Alert.Status.FIRING, "warning"
    alert.save()
    client = member("olga")
    offered = client.get(f"/alerts/{alert.pk}/").content.decode()
    assert f"/silences/?alert={alert.pk}" in offered
    form = client.get(f"/silences/?alert={alert.pk}&label=server%3Dprod-8").content.decode()
    assert 'value="server=prod-8" checked' in form
    assert 'value="severity=warning">' in form
    sent = {"alert": alert.pk, "label": ["alertname=BotDown", "severity=warning"], "minutes": 60, "reason": "move"}
    part = client.post("/silences/", {**sent, "do": "preview", "part": "preview"}).content.decode()
    assert "1 alert that fires now matches." in part
    assert "prod-8" in part
    assert "<html" not in part
    none = client.post("/silences/", {"alert": alert.pk, "do": "preview", "part": "preview"})
    assert (none.status_code, "silence of everything" in none.content.decode()) == (422, True)
    assert client.post("/silences/", {**sent, "do": "silence"}).status_code == 302
    until(lambda: state_of("prod-8") == "suppressed", "the silence to hold")
    assert state_of("prod-9") == "active"

    silenced.mark()
    assert "1 alert fires, silenced" in client.get("/alerts/").content.decode()
    (one,) = silences.standing()
    silences.lift(actor=olga, identifier=one.identifier)
    until(lambda: silenced.mark() >= 0 and Alert.objects.get().silenced_until is None, "the mark to go")
    assert "1 alert needs action" in client.get("/alerts/").content.decode()


def test_the_command_line_previews_makes_lists_and_lifts(
    olga: Actor, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    owner = User.objects.get(username="olga")
    scopes = [Scope.READ, Scope.ALERTS]
    _, text = issue_token(actor=user_actor(owner), name="ci", scopes=scopes, owner=owner, environment=None)
    monkeypatch.setenv("PORTAL_TOKEN", str.__str__(text))
    fire(server="prod-7")

    def run(*arguments: str) -> Any:
        call_command("silences", *arguments, "--json")
        return json.loads(capsys.readouterr().out)

    assert run() == []
    assert [one["labels"]["server"] for one in run("preview", "server=prod-7")] == ["prod-7"]
    made = run("make", "server=prod-7", "--reason", "moving", "--for", "5")["identifier"]
    assert [(one["identifier"], one["matchers"]) for one in run()] == [(made, ['server="prod-7"'])]
    assert run("lift", made)["reason"] == "moving"
    assert run() == []
    for arguments in (["preview", "BotDown"], ["lift"], ["make", "server=prod-7"], ["preview"]):
        with pytest.raises(SystemExit) as stopped:
            call_command("silences", *arguments, "--json")
        assert stopped.value.code == 2, arguments


def test_labels_are_taken_literally(olga: Actor) -> None:
    odd = 'Bot"Down\\.*|'
    fire(alertname=odd, server="odd-1")
    silences.silence(actor=olga, wanted=Wanted(odd), reason="x", lasting=HOUR)
    (one,) = silences.standing()
    assert one.matchers[0].value == odd
    fire(server="odd-2")
    assert [each.name for each in silences.preview(actor=olga, wanted=Wanted(odd))] == [odd]
    until(lambda: state_of("odd-1") == "suppressed", "the silence to hold")
    assert state_of("odd-2") == "active"
    assert [one.identifier] == [each.identifier for each in silences.covering(held("odd-1"))]
    assert silences.covering(held("odd-2")) == []


@pytest.mark.parametrize(
    ("pattern", "value"),
    [
        ("(a|aa)+b", "a" * 3000),
        ("(a*)*(a*)*c", "a" * 3000),
        (r"\pL+", "Grüße"),
        (r"[[:alpha:]]+", "abc"),
        (r"(?U)a+", "aa"),
    ],
)
def test_a_strangers_pattern_is_matched_by_alertmanager_alone(olga: Actor, pattern: str, value: str) -> None:
    now, server = timezone.now(), f"hit-{len(pattern)}"
    alertmanager().create_silence(
        matchers=[Matcher("victim", pattern, regex=True), Matcher("server", server)],
        starts_at=now,
        ends_at=now + HOUR,
        created_by="a stranger",
        comment="x",
    )
    fire(server=server, victim=value)
    (one,) = silences.standing()
    covered = not pattern.startswith(("(a|", "(a*"))
    alert = held(server)
    row = Alert.objects.create(
        fingerprint=alert.fingerprint, name="BotDown", status="firing", labels=dict(alert.labels), starts_at=now
    )
    began = time.process_time()
    page = member("olga").get(f"/alerts/{row.pk}/")
    assert time.process_time() - began < 2, "the portal matched it itself"
    assert page.status_code == 200
    assert ("Silenced by" in page.content.decode()) is covered
    assert [each.identifier for each in silences.covering(row)] == ([one.identifier] if covered else [])
    assert member("olga").get("/silences/").status_code == 200


def test_programs_preview_make_list_and_lift(olga: Actor) -> None:
    fire(server="prod-3")
    owner = User.objects.get(username="olga")
    _, text = issue_token(
        actor=user_actor(owner), name="ci", scopes=[Scope.READ, Scope.ALERTS], owner=owner, environment=None
    )
    call = caller(str.__str__(text))
    found = call("get", "/silences/matches?server=prod-3").json()
    assert [(one["name"], one["suppressed"]) for one in found] == [("BotDown", False)]
    made = call("post", "/silences", {"server": "prod-3", "reason": "moving", "minutes": 5})
    assert made.status_code == 201
    identifier = made.json()["identifier"]
    (listed,) = call("get", "/silences").json()
    assert (listed["identifier"], listed["reason"]) == (identifier, "moving")
    assert listed["created_by"] == "olga/token:ci"
    assert call("delete", f"/silences/{identifier}").status_code == 204
    assert call("delete", f"/silences/{identifier}").json()["reason"] == "silence_ended"


def test_who_has_a_role_in_one_application_lifts_there_what_may_be_made_there(olga: Actor) -> None:
    Environment.objects.filter(name="test").update(application="rosey")
    Application.objects.get_or_create(name="rosey")[0].people.add(User.objects.get(username="olga"))
    here = user_actor(User.objects.get(username="olga"))
    made = silences.silence(actor=here, wanted=Wanted("BotDown", "test"), reason="x", lasting=HOUR)
    assert member("olga").post(f"/silences/{made}/lift").status_code == 302
    assert silences.standing() == []
    for wanted in (Wanted("BotDown"), Wanted("BotDown", "production")):
        other = silences.silence(actor=olga, wanted=wanted, reason="x", lasting=HOUR)
        with pytest.raises(NotAllowed, match="hold in rosey alone"):
            silences.lift(actor=here, identifier=other)
    with pytest.raises(NotFound):
        silences.lift(actor=here, identifier="6f0e4f0b-5f0c-4a52-9b1c-0c1b5a3f2d11")


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (["BotDown"], "'BotDown' is no label with a value."),
        (["severity="], "'severity=' is no label with a value."),
        (["severity=warning", "severity=critical"], "The label 'severity' was given twice."),
    ],
)
def test_a_label_that_is_none_is_told_in_the_same_words_everywhere(labels: list[str], said: str, olga: Actor) -> None:
    _, text = issue_token(
        actor=olga, name="ci", scopes=[Scope.ALERTS], owner=User.objects.get(username="olga"), environment=None
    )
    answer = caller(str.__str__(text))("post", "/silences", {"label": labels, "reason": "x", "minutes": 5})
    assert (answer.status_code, answer.json()["detail"]) == (422, said)
    with pytest.raises(CommandError, match=re.escape(said)):
        call_command("silences", "preview", *labels)
    for answer in (
        member("olga").post("/silences/", {"label": labels, "reason": "x", "minutes": "60", "do": "silence"}),
        member("olga").get("/silences/", {"label": labels}),
    ):
        assert (answer.status_code, said in html.unescape(answer.content.decode())) == (422, True)
    assert silences.standing() == []


def test_a_token_for_one_environment_silences_there_only(olga: Actor) -> None:
    owner, home = User.objects.get(username="olga"), Environment.objects.get(name="test")
    _, text = issue_token(actor=user_actor(owner), name="ci", scopes=[Scope.ALERTS], owner=owner, environment=home)
    call = caller(str.__str__(text))
    body = {"alertname": "BotDown", "reason": "x", "minutes": 5}
    assert call("post", "/silences", body).status_code == 403
    assert call("post", "/silences", {**body, "environment": "production"}).status_code == 403
    assert call("post", "/silences", {**body, "environment": "test"}).status_code == 201
    elsewhere = silences.silence(actor=olga, wanted=Wanted("BotDown"), reason="x", lasting=HOUR)
    assert call("delete", f"/silences/{elsewhere}").status_code == 403


def test_a_token_for_one_environment_lists_and_lifts_what_is_about_that_environment(olga: Actor) -> None:
    owner, home = User.objects.get(username="olga"), Environment.objects.get(name="test")
    scopes = [Scope.ALERTS, Scope.READ]
    _, text = issue_token(actor=user_actor(owner), name="ci", scopes=scopes, owner=owner, environment=home)
    call = caller(str.__str__(text))
    now = timezone.now()

    def silenced(*matchers: Matcher) -> str:
        return alertmanager().create_silence(
            matchers=[Matcher("alertname", "BotDown"), *matchers],
            starts_at=now,
            ends_at=now + HOUR,
            created_by="olga",
            comment="x",
        )

    here = silences.silence(actor=olga, wanted=Wanted("BotDown", "test"), reason="x", lasting=HOUR)
    others = [
        silenced(),
        silenced(Matcher("environment", "production")),
        silenced(Matcher("environment", "test", equal=False)),
        silenced(Matcher("environment", "test|production", regex=True)),
        silenced(Matcher("environment", "test", regex=True)),
        silenced(Matcher("environment", "test", regex=True, equal=False)),
    ]
    assert [each["identifier"] for each in call("get", "/silences").json()] == [here]
    for identifier in others:
        assert call("delete", f"/silences/{identifier}").status_code == 403
    assert call("delete", f"/silences/{here}").status_code == 204


def test_an_alert_that_ended_in_silence_is_ended_here_and_one_that_lasts_is_not(olga: Actor) -> None:
    fire(server="prod-4")
    until(lambda: SWITCH in {one.name for one in alertmanager().alerts()}, "Prometheus to send the switch")
    lasting = next(one for one in alertmanager().alerts() if one.labels.get("server") == "prod-4")
    began = timezone.now()
    for fingerprint, name in ((lasting.fingerprint, "BotDown"), ("feed", "BotDown"), ("own", SILENT)):
        report = Report(fingerprint, "firing", began, labels={**BOT_DOWN, "alertname": name})
        deliveries.receive(delivery=Delivery("people", "{}", [report]), now=began)
    gone = Alert.objects.get(fingerprint="feed")
    acknowledge(actor=olga, alert=gone, comment="on it", lasting=HOUR)

    assert end_unheard(began + timedelta(minutes=4)) == 0, "it may only be late"
    assert end_unheard(began + timedelta(minutes=6)) == 1
    ended = {alert.fingerprint: alert.status for alert in Alert.objects.all()}
    assert ended == {lasting.fingerprint: "firing", "feed": "resolved", "own": "firing"}
    assert gone.acknowledgements.get().ending == "resolved"


def test_one_that_fires_anew_and_is_not_delivered_has_a_record_of_its_own() -> None:
    fire(server="prod-5")
    until(lambda: SWITCH in {one.name for one in alertmanager().alerts()}, "Prometheus to send the switch")
    held = next(one for one in alertmanager().alerts() if one.labels.get("server") == "prod-5")
    before = held.starts_at - HOUR
    report = Report(held.fingerprint, "firing", before, labels=dict(held.labels))
    deliveries.receive(delivery=Delivery("people", "{}", [report]), now=before)

    end_unheard(held.starts_at + timedelta(minutes=4))
    assert Alert.objects.count() == 1, "its delivery may only be late"
    for _ in range(2):
        end_unheard(timezone.now() + timedelta(minutes=6))
    old, new = Alert.objects.order_by("starts_at")
    assert (old.status, old.ends_at) == ("resolved", before)
    assert (new.status, new.starts_at, new.labels) == ("firing", held.starts_at, old.labels)


def test_an_alertmanager_that_is_away_or_another_one_ends_nothing(settings: Any, monkeypatch: Any) -> None:
    Alert.objects.create(fingerprint="a", name="BotDown", status="firing", starts_at=timezone.now())
    later = timezone.now() + timedelta(minutes=6)
    known = [one for one in alertmanager().alerts() if one.name != SWITCH]
    with monkeypatch.context() as patch:
        patch.setattr(Alertmanager, "alerts", lambda _: known)
        assert end_unheard(later) == 0
    settings.ALERTMANAGER_URL = "http://127.0.0.1:9"
    assert end_unheard(later) == 0


def caller(token: str) -> Callable[..., Any]:
    def call(method: str, path: str, body: Any = None) -> Any:
        sent = {} if body is None else {"data": body, "content_type": "application/json"}
        headers = {"authorization": f"Bearer {token}"}
        return getattr(Client(), method)(f"/api/v1{path}", headers=headers, **sent)

    return call


def test_maintenance_silences_its_environment_until_it_ends(olga: Actor, settings: Any) -> None:
    home = Environment.objects.get(name="production")
    settings.ALERTMANAGER_URL, there = "http://127.0.0.1:9", settings.ALERTMANAGER_URL
    row = maintenance.plan(actor=olga, environment=home, title="new disks", ends_at=timezone.now() + HOUR)
    assert row.silence == "", "Alertmanager is away, and the window is made all the same"
    settings.ALERTMANAGER_URL = there
    fire(server="prod-1")
    fire(server="test-1", environment="test")
    tend_alerts()
    until(lambda: state_of("prod-1") == "suppressed", "the silence to hold")
    assert state_of("test-1") == "active"
    (one,) = silences.standing()
    assert (one.created_by, one.comment) == ("olga", "Maintenance: new disks")
    assert abs(one.ends_at - row.ends_at) < timedelta(seconds=1)
    tend_alerts()
    assert len(silences.standing()) == 1
    maintenance.end(actor=olga, window=row, reason="it went quicker")
    until(lambda: state_of("prod-1") == "active", "the alert to be loud again")
    assert silences.standing() == []

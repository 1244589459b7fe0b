"""Incidents: opened, told of and ended by those who answer for alerts there; nothing that was said is changed."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from alerting.incidents.recording import Said, open_incident, update_incident
from alerting.incidents.selectors import open_incidents
from alerting.models import Alert, Incident
from deployments.access.policy import user_actor
from deployments.core.actors import Actor
from deployments.models import Application, AuditEvent, Environment, NotificationDelivery, Scope, Server
from deployments.notifications.channels import save_channel
from engine.errors import InvalidRequest, NotAllowed
from tests.fixtures.records import MakePerson

pytestmark = [pytest.mark.django_db, pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")]
FIRST = Said("Commands get no answer.", severity="major")


def opened(actor: Actor, said: Said = FIRST, **more: Any) -> Incident:
    return open_incident(actor=actor, title="The bot is silent", said=said, **more)


def texts(row: Incident) -> list[tuple[str, str]]:
    return [(one.state, one.text) for one in row.updates.order_by("id")]


def test_it_goes_from_its_opening_to_its_end_by_adding(olga: Actor, alert: Alert) -> None:
    assert alert.environment
    row = opened(olga, environments=[alert.environment], alert=alert)
    assert (row.state, row.severity, row.public, row.resolved_at) == ("investigating", "major", False, None)
    update_incident(actor=olga, incident=row, said=Said("CyTube refuses us.", state="identified", public=True))
    row = update_incident(actor=olga, incident=row, said=Said("It answers again.", state="resolved"))
    assert (row.state, row.severity, row.public) == ("resolved", "major", True), "what was left out stays"
    assert row.resolved_at == row.updated_at
    assert texts(row) == [
        ("investigating", "Commands get no answer."),
        ("identified", "CyTube refuses us."),
        ("resolved", "It answers again."),
    ]
    names = list(AuditEvent.objects.filter(subject=f"incident:{row.pk}").order_by("pk").values_list("name", flat=True))
    assert names == ["incident.opened", "incident.updated", "incident.resolved"]
    event = AuditEvent.objects.get(name="incident.updated")
    assert (event.actor, event.environment) == ("olga", "production")
    assert event.data["public"] is True
    assert event.data["text"] == "CyTube refuses us."


def test_what_is_over_takes_a_last_word_and_may_begin_again(olga: Actor, db: None) -> None:
    row = opened(olga)
    row = update_incident(actor=olga, incident=row, said=Said("Over.", state="resolved"))
    ended = row.resolved_at
    row = update_incident(actor=olga, incident=row, said=Said("It was a cable."))
    assert (row.state, row.resolved_at) == ("resolved", ended)
    row = update_incident(actor=olga, incident=row, said=Said("Again.", state="investigating"))
    assert row.resolved_at is None
    assert [one.pk for one in open_incidents(members=True)] == [row.pk]


@pytest.mark.parametrize(
    ("title", "said", "sentence"),
    [
        ("  ", FIRST, "needs a title"),
        ("x" * 121, FIRST, "at most 120 characters"),
        ("Silent", Said("", severity="major"), "needs a text"),
        ("Silent", Said("Gone."), "needs a severity"),
        ("Silent", Said("Gone.", severity="total"), "'total' is no severity"),
        ("Silent", Said("Gone.", severity="minor", state="done"), "'done' is no state"),
        ("Silent", Said("Gone\u202e.", severity="minor"), "is not shown as what it is"),
    ],
)
def test_what_cannot_be_said_is_refused_and_leaves_nothing(olga: Actor, title: str, said: Said, sentence: str) -> None:
    with pytest.raises(InvalidRequest, match=sentence):
        open_incident(actor=olga, title=title, said=said)
    assert not Incident.objects.exists()
    assert not AuditEvent.objects.filter(name__startswith="incident.").exists()


def test_the_worst_comes_first_with_what_was_said_last(olga: Actor, db: None) -> None:
    critical = opened(olga, Said("All gone.", severity="critical"))
    opened(olga, Said("Slow.", severity="minor"))
    update_incident(actor=olga, incident=critical, said=Said("We look."))
    found = open_incidents(members=True)
    assert [(row.severity, getattr(row, "latest", "")) for row in found] == [
        ("critical", "We look."),
        ("minor", "Slow."),
    ]
    assert open_incidents(members=False) == []


def test_channels_hear_of_it_with_a_link(olga: Actor, make_person: MakePerson, alert: Alert) -> None:
    values = {"name": "all", "url": "json://localhost/x", "environment": None, "events": ["incident"], "enabled": True}
    save_channel(actor=make_person("ada", "administrator"), channel=None, values=values)
    assert alert.environment
    row = opened(olga, environments=[alert.environment])
    update_incident(actor=olga, incident=row, said=Said("Over.", state="resolved"))
    told = list(NotificationDelivery.objects.order_by("id"))
    assert [one.title for one in told] == [
        f"production: incident {row.pk} was opened by olga: The bot is silent",
        f"production: incident {row.pk} was resolved by olga: The bot is silent",
    ]
    assert "Major, investigating: Commands get no answer." in told[0].body
    assert f"/incidents/{row.pk}/" in told[0].body


def test_whose_roles_hold_in_some_applications_speaks_of_those(
    make_person: MakePerson, enrol: Callable[..., Server]
) -> None:
    make_person("anna", "operator")
    Environment.objects.filter(name="production").update(application="rosey")
    home, elsewhere = Environment.objects.get(name="production"), Environment.objects.get(name="test")
    user = User.objects.get(username="anna")
    Application.objects.get_or_create(name="rosey")[0].people.add(user)
    anna = user_actor(user)
    row = opened(anna, environments=[home])
    for about in ([], [elsewhere], [home, elsewhere]):
        with pytest.raises(NotAllowed):
            opened(anna, environments=about)
    other = enrol("test-1", environment=elsewhere)
    with pytest.raises(NotAllowed):
        opened(anna, environments=[home], servers=[other])
    assert Incident.objects.get() == row


def test_the_api_opens_reads_and_ends_one(token_for: Callable[..., str], olga: Actor, alert: Alert) -> None:
    owner = User.objects.get(username="olga")
    headers = {"Authorization": f"Bearer {token_for(Scope.READ, Scope.ALERTS, owner=owner)}"}

    def call(method: str, path: str, body: Any = None) -> Any:
        sent = {} if body is None else {"data": json.dumps(body), "content_type": "application/json"}
        return getattr(Client(), method)(f"/api/v1/incidents{path}", headers=headers, **sent)

    body = {"title": "Silent", "text": "No answer.", "severity": "major", "environments": ["production"]}
    made = call("post", "", body | {"servers": ["prod-1"], "alert": alert.pk, "public": True})
    assert made.status_code == 201, made.content
    number = made.json()["number"]
    assert made.json()["servers"] == ["prod-1"]
    assert made.json()["alert"] == alert.pk
    assert call("post", "", body | {"severity": "huge"}).status_code == 422
    assert call("post", "", body | {"alert": 4711}).status_code == 404
    ended = call("post", f"/{number}/updates", {"text": "Over.", "state": "resolved"}).json()
    assert [one["state"] for one in ended["updates"]] == ["resolved", "investigating"]
    assert "olga" in ended["updates"][0]["author"]
    assert [row["number"] for row in call("get", "?open=false").json()["items"]] == [number]
    assert call("get", "?open=true").json()["items"] == []
    assert call("get", f"/{number}").json()["title"] == "Silent"
    assert call("get", "/4711").status_code == 404


def test_a_token_for_one_environment_speaks_of_it_alone(
    token_for: Callable[..., str], olga: Actor, alert: Alert
) -> None:
    owner = User.objects.get(username="olga")
    test = Environment.objects.get(name="test")
    token = token_for(Scope.READ, Scope.ALERTS, owner=owner, environment=test)
    headers = {"Authorization": f"Bearer {token}"}
    opened(olga, environments=[Environment.objects.get(name="production")])
    assert Client().get("/api/v1/incidents", headers=headers).json()["items"] == []
    for about, status in (([], 403), (["production"], 403), (["production", "test"], 403), (["test"], 201)):
        body = {"title": "Silent", "text": "No answer.", "severity": "minor", "environments": about}
        answer = Client().post(
            "/api/v1/incidents", data=json.dumps(body), content_type="application/json", headers=headers
        )
        assert answer.status_code == status, about
    assert len(Client().get("/api/v1/incidents", headers=headers).json()["items"]) == 1

"""What strangers and members see of incidents: on the status page, on pages of their own, as JSON and in feeds."""

import json
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from xml.etree import ElementTree

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from alerting.incidents.recording import Said, open_incident, update_incident
from alerting.models import Incident
from dashboard.models import StatusPage
from deployments.core.actors import Actor
from deployments.models import AuditEvent, Server
from tests.dashboard import records
from tests.fixtures.records import MakePerson

pytestmark = pytest.mark.django_db
ATOM = "{http://www.w3.org/2005/Atom}"
BAD = '<script>alert("x")</script> & so on'


@pytest.fixture
def olga(make_person: MakePerson) -> Actor:
    return make_person("olga", "operator")


@pytest.fixture
def member(olga: Actor) -> Client:
    client = Client()
    client.force_login(User.objects.get(username="olga"), backend="django.contrib.auth.backends.ModelBackend")
    return client


def opened(actor: Actor, title: str = "The room is gone", *, public: bool = True, **more: Any) -> Incident:
    return open_incident(actor=actor, title=title, said=Said("We look.", severity="major", public=public), **more)


def ended(actor: Actor, title: str, days: float) -> Incident:
    row = update_incident(actor=actor, incident=opened(actor, title), said=Said("Over.", state="resolved"))
    Incident.objects.filter(pk=row.pk).update(resolved_at=timezone.now() - timedelta(days=days))
    return row


def html(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200, (path, answer.status_code)
    return answer.content.decode()


def words(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def test_strangers_see_what_is_public_and_never_who_wrote_it(anyone: Client, member: Client, olga: Actor) -> None:
    shown, kept = opened(olga), opened(olga, "A disk fills up", public=False)
    for path in ("/", "/incidents/", f"/incidents/{shown.pk}/"):
        page = html(anyone, path)
        assert "The room is gone" in page, path
        assert "A disk fills up" not in page, path
        assert "olga" not in page, path
    assert "A disk fills up" in html(member, "/incidents/")
    assert "olga" in html(member, f"/incidents/{kept.pk}/")
    assert "members only" in html(member, "/")


@pytest.mark.parametrize("path", ["/incidents/{}/", "/incidents/4711/"])
def test_what_is_not_public_and_what_is_not_there_look_alike_to_strangers(
    anyone: Client, member: Client, olga: Actor, path: str
) -> None:
    row = opened(olga, public=False)
    answer = anyone.get(path.format(row.pk))
    assert (answer.status_code, answer["Location"]) == (302, f"/admin/login/?next={path.format(row.pk)}")
    assert member.get("/incidents/4711/").status_code == 404


def test_a_page_that_needs_a_sign_in_shows_no_incident_anywhere(anyone: Client, olga: Actor) -> None:
    row = opened(olga)
    StatusPage.objects.create(pk=1, public=False)
    for path in ("/", "/incidents/", f"/incidents/{row.pk}/"):
        assert anyone.get(path).status_code == 302, path
    for path in ("/status.json", "/incidents.rss", "/incidents.atom"):
        assert anyone.get(path).status_code == 404, path


def test_open_ones_stand_above_and_those_of_thirty_days_below(anyone: Client, olga: Actor) -> None:
    opened(olga)
    ended(olga, "Last week's", 7)
    ended(olga, "Last season's", 31)
    page = words(html(anyone, "/").split('id="main"')[1])
    assert page.index("Incident: The room is gone") < page.index("Incidents of the last 30 days")
    assert page.count("The room is gone") == 1, "the one that the headline tells of is told once, with its last word"
    assert "Open incidents" not in page
    opened(olga)
    page = words(html(anyone, "/?range=1h"))  # not the page that was drawn just now
    assert page.index("Open incidents 2") < page.index("Incidents of the last 30 days")
    assert "Last week's" in page.replace("&#x27;", "'")
    assert "Last season" not in page
    assert "Last season" in html(anyone, "/incidents/")


def test_texts_are_escaped_wherever_they_are_shown(anyone: Client, member: Client, olga: Actor) -> None:
    row = open_incident(actor=olga, title=BAD, said=Said(BAD, severity="minor", public=True))
    for client in (anyone, member):
        for path in ("/", "/incidents/", f"/incidents/{row.pk}/"):
            assert "<script>alert" not in html(client, path)
            assert "&lt;script&gt;alert" in html(client, path)
    for path, entry, title, text in (
        ("/incidents.rss", "channel/item", "title", "description"),
        ("/incidents.atom", f"{ATOM}entry", f"{ATOM}title", f"{ATOM}summary"),
    ):
        answer = anyone.get(path)
        found = ElementTree.fromstring(answer.content).findall(entry)
        assert [one.findtext(text) for one in found] == [
            "&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt; &amp; so on"
        ], "readers take it for HTML"
        assert "&lt;script&gt;" in str(found[0].findtext(title))


def test_feeds_have_an_entry_for_every_public_update(anyone: Client, olga: Actor, settings: Any) -> None:
    settings.PORTAL_URL = "https://ops.example.org"
    row = opened(olga)
    update_incident(actor=olga, incident=row, said=Said("Over.", state="resolved"))
    opened(olga, "A disk fills up", public=False)
    answer = anyone.get("/incidents.rss")
    assert answer["Content-Type"].startswith("application/rss+xml")
    assert answer["Access-Control-Allow-Origin"] == "*"
    assert b"olga" not in answer.content
    items = ElementTree.fromstring(answer.content).findall("channel/item")
    assert [item.findtext("title") for item in items] == [
        "The room is gone (resolved)",
        "The room is gone (investigating)",
    ]
    newest = row.updates.latest("pk")
    assert items[0].findtext("link") == f"https://ops.example.org/incidents/{row.pk}/#update-{newest.pk}"
    assert f'id="update-{newest.pk}"' in html(anyone, f"/incidents/{row.pk}/")
    atom = anyone.get("/incidents.atom")
    assert atom["Content-Type"].startswith("application/atom+xml")
    assert b"olga" not in atom.content
    entries = ElementTree.fromstring(atom.content).findall(f"{ATOM}entry")
    assert entries[0].findtext(f"{ATOM}updated") == newest.at.isoformat()
    for path in ("/", "/incidents/", f"/incidents/{row.pk}/"):
        assert 'type="application/atom+xml"' in html(anyone, path), path


def test_the_embeddable_document_lists_open_ones(anyone: Client, olga: Actor, settings: Any) -> None:
    settings.PORTAL_URL = "https://ops.example.org"
    row = opened(olga)
    opened(olga, "A disk fills up", public=False)
    ended(olga, "Yesterday's", 1)
    told = json.loads(anyone.get("/status.json").content)["incidents"]
    assert [(one["title"], one["state"], one["latest"]) for one in told] == [
        ("The room is gone", "investigating", "We look.")
    ]
    assert told[0]["url"] == f"https://ops.example.org/incidents/{row.pk}/"
    assert "olga" not in json.dumps(told)


def test_one_is_opened_from_an_alert_with_what_is_known_of_it(
    member: Client, anyone: Client, enrol: Callable[..., Server]
) -> None:
    server = enrol()
    alert = records.alert(server.environment, server=server, annotations={"summary": "The bot keeps silent"})
    link = f"/incidents/new/?alert={alert.pk}"
    assert f'href="{link}"' in html(member, f"/alerts/{alert.pk}/")
    form = html(member, link)
    assert 'value="The bot keeps silent"' in form
    assert form.count(" checked") == 2, "its environment and its server"
    sent = {"alert": alert.pk, "title": "Silent", "severity": "critical", "environment": server.environment_id}
    refused = member.post(link, sent | {"text": ""})
    assert refused.status_code == 422
    assert "An update needs a text." in refused.content.decode()
    assert 'value="Silent"' in refused.content.decode()
    made = member.post(link, sent | {"text": "We look.", "public": "1"})
    row = Incident.objects.get()
    assert made["Location"] == f"/incidents/{row.pk}/"
    assert (row.alert, row.public, list(row.environments.all())) == (alert, True, [server.environment])
    assert f"#{row.pk} Silent" in words(html(member, f"/alerts/{alert.pk}/"))
    assert alert.name in html(member, f"/incidents/{row.pk}/")
    assert alert.name not in html(anyone, f"/incidents/{row.pk}/")


def test_updates_are_added_by_those_who_may_and_a_refusal_keeps_what_was_typed(
    member: Client, olga: Actor, make_person: MakePerson
) -> None:
    row = opened(olga, public=False)
    address = f"/incidents/{row.pk}/update"
    refused = member.post(address, {"text": "x" * 1001, "state": "identified", "severity": "minor"})
    assert refused.status_code == 422
    assert "x" * 1001 in refused.content.decode()
    assert '<option value="identified" selected>' in refused.content.decode()
    assert member.post(address, {"text": "It was a cable.", "state": "resolved", "public": "1"}).status_code == 302
    row.refresh_from_db()
    assert (row.state, row.severity, row.public) == ("resolved", "major", True)
    make_person("vera", "viewer")
    viewer = Client()
    viewer.force_login(User.objects.get(username="vera"), backend="django.contrib.auth.backends.ModelBackend")
    assert "Add an update" not in html(viewer, f"/incidents/{row.pk}/")
    assert viewer.post(address, {"text": "I too"}).status_code == 403
    assert Client().post(address, {"text": "I too"}).status_code == 302
    assert row.updates.count() == 2
    assert AuditEvent.objects.filter(name="incident.resolved").count() == 1


def test_the_number_of_queries_does_not_grow(
    member: Client, anyone: Client, olga: Actor, enrol: Callable[..., Server]
) -> None:
    server = enrol()

    def add(count: int) -> None:
        for number in range(count):
            opened(olga, f"Number {number}", environments=[server.environment], servers=[server])
            ended(olga, f"Over {number}", 1)

    def queries(client: Client, path: str) -> int:
        with CaptureQueriesContext(connection) as caught:
            html(client, path)
        return len(caught)

    add(1)
    paths = ["/?environment=production", "/incidents/", "/incidents.rss"]
    few = {(who, path): queries(client, path) for who, client in (("a", anyone), ("m", member)) for path in paths}
    add(10)
    many = {(who, path): queries(client, path) for who, client in (("a", anyone), ("m", member)) for path in paths}
    assert many == few


def test_lists_come_in_pages(anyone: Client, olga: Actor) -> None:
    opened(olga, "The first one")
    for number in range(20):
        opened(olga, f"Number {number}")
    page = html(anyone, "/incidents/")
    assert "The first one" not in page
    older = re.findall(r'href="(\?before=\d+)"', page)
    assert "The first one" in html(anyone, f"/incidents/{older[0]}")
    assert "Number 19" in html(anyone, "/incidents/?before=nonsense")


@pytest.mark.django_db
def test_where_there_are_none_strangers_are_told_so_in_plain_words() -> None:
    assert "No public incidents." in Client().get("/incidents/").content.decode()

"""A channel is tested as it is typed: a real service takes the message, and nothing of it is stored."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from deployments.models import AuditEvent, NotificationChannel, NotificationDelivery
from deployments.notifications.channels import TRIES
from deployments.notifications.messages import EVENTS, GROUPS
from tests.deployments.admin.test_pages import text_of
from tests.deployments.world import World

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")

TRY = "admin:deployments_notificationchannel_try"
ADD = "admin:deployments_notificationchannel_add"


class Hook(BaseHTTPRequestHandler):
    """A webhook that takes what is posted to `/taken`, and nothing else."""

    def do_POST(self) -> None:
        """Keep it."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.said.append(body)  # type: ignore[attr-defined]  # of `hook`
        self.send_response(200 if self.path.startswith("/taken") else 410)
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        """Nothing."""


@pytest.fixture
def hook() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Its address, and what it was sent."""
    with HTTPServer(("127.0.0.1", 0), Hook) as server:
        said: list[dict[str, Any]] = []
        server.said = said  # type: ignore[attr-defined]  # read by Hook
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", said
        server.shutdown()


def tried(client: Client, typed: dict[str, Any], *, beside: bool = False, asked: str = "service=webhook") -> Any:
    headers = {"HX-Request": "true"} if beside else {}
    return client.post(
        f"{reverse(TRY)}?{asked}", {"name": "Team", "enabled": "on", "told": "all", **typed}, headers=headers
    )


def test_what_is_typed_is_sent_and_not_stored(world: World, hook: tuple[str, list[dict[str, Any]]]) -> None:
    address, said = hook
    answer = tried(world.client("administrator"), {"hook": f"{address}/taken"})
    assert answer.status_code == 200
    assert "The service took the test message." in text_of(answer.content.decode())
    assert [one["title"] for one in said] == ["Test message of the ops portal"]
    assert not NotificationChannel.objects.exists()
    assert not NotificationDelivery.objects.exists()
    event = AuditEvent.objects.get(name="channel.tested")
    assert (event.actor, event.data) == ("administrator", {"name": "Team", "scheme": "json", "stored": False})


def test_what_was_refused_is_told_beside_the_form_without_its_secret(
    world: World, hook: tuple[str, list[dict[str, Any]]]
) -> None:
    client = world.client("administrator")
    answer = tried(client, {"hook": f"{hook[0]}/gone?key=secretpart"})
    assert answer.status_code == 502
    beside = tried(client, {"hook": f"{hook[0]}/gone?key=secretpart"}, beside=True)
    assert beside.status_code == 200, "htmx shows no other"
    page = beside.content.decode()
    assert "<html" not in page
    assert "The test did not arrive. The service did not accept the message." in text_of(page)
    assert "secretpart" not in page + answer.content.decode()


def test_a_form_that_is_wrong_is_told_and_sends_nothing(world: World, hook: tuple[str, list[dict[str, Any]]]) -> None:
    client = world.client("administrator")
    for typed, words in (
        ({"hook": "ftp://x"}, "An address begins with https://"),
        ({"hook": hook[0], "told": "these"}, "Only these: Tick one at least, or choose all events."),
        ({"hook": hook[0], "name": ""}, "Name: This field is required."),
    ):
        answer = tried(client, typed)
        assert answer.status_code == 422
        assert words in text_of(answer.content.decode())
    assert hook[1] == []
    assert not AuditEvent.objects.filter(name="channel.tested").exists()


def test_a_channel_that_is_edited_is_tested_at_the_address_that_is_stored(
    world: World, hook: tuple[str, list[dict[str, Any]]]
) -> None:
    address, said = hook
    url = f"{address.replace('http', 'json')}/taken"
    channel = NotificationChannel.objects.create(name="ops", url=url, events=["failed"])
    answer = tried(world.client("administrator"), {"url": ""}, asked=f"channel={channel.pk}")
    assert (answer.status_code, len(said)) == (200, 1), text_of(answer.content.decode())
    kept = NotificationChannel.objects.get()
    assert (kept.name, kept.events, str(kept.url)) == ("ops", ["failed"], url)
    assert AuditEvent.objects.get(name="channel.tested").subject == f"channel:{channel.pk}"


def test_who_may_not_configure_tests_nothing_and_nobody_tests_without_end(
    world: World, hook: tuple[str, list[dict[str, Any]]]
) -> None:
    address, said = hook
    assert tried(world.client("operator"), {"hook": f"{address}/taken"}).status_code == 403
    assert said == []
    client = world.client("administrator")
    codes = [tried(client, {"hook": f"{address}/taken"}).status_code for _ in range(2 * TRIES + 1)]
    assert codes[0] == 200
    assert 429 in codes
    assert len(said) <= 2 * TRIES, "a minute may end between"


def test_the_form_says_all_or_only_these_and_groups_every_event_once(world: World) -> None:
    assert sorted(name for names in GROUPS.values() for name in names) == sorted(EVENTS)
    client = world.client("administrator")
    form = client.get(f"{reverse(ADD)}?service=slack").content.decode()
    assert f'formaction="{reverse(TRY)}?service=slack"' in form
    assert all(group in form for group in GROUPS)
    sent = {"name": "Team", "hook": "https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"}
    some = {**sent, "events": ["failed"], "told": "these"}
    assert client.post(f"{reverse(ADD)}?service=slack", some).status_code == 302
    channel = NotificationChannel.objects.get()
    assert channel.events == ["failed"]
    settings = reverse("admin:deployments_notificationchannel_settings", args=[channel.pk])
    page = client.get(settings).content.decode()
    assert "checked" in page.partition('value="these"')[2].partition(">")[0]
    client.post(settings, {"name": "Team", "url": "", "told": "all", "events": ["failed"]})
    assert NotificationChannel.objects.get().events == []

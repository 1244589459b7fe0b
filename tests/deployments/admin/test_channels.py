"""Channels in the control room: asked for in the words of their service, and a page that says whether they work."""

from typing import Any

import apprise
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from deployments.models import NotificationChannel, NotificationDelivery
from tests.deployments.admin.test_pages import text_of
from tests.deployments.world import World

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")

ADD = "admin:deployments_notificationchannel_add"
LIST = "admin:deployments_notificationchannel_changelist"
MAIL = {"to": "team@example.org, b@example.org", "sender": "ops@example.org", "server": "smtp.example.org"}
SENT: dict[str, tuple[dict[str, Any], str]] = {
    "mail": (
        {**MAIL, "security": "starttls", "account": "ops@example.org", "password": "p@ss/w:d?"},
        "mailtos://ops%40example.org:p%40ss%2Fw%3Ad%3F@smtp.example.org:587/"
        "?from=ops%40example.org&to=team%40example.org%2C+b%40example.org",
    ),
    "slack": (
        {"hook": "https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"},
        "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ",
    ),
    "discord": ({"hook": "https://discord.com/api/webhooks/4174216298/JHMHI8_js"}, "discord://4174216298/JHMHI8_js"),
    "telegram": (
        {"token": "123456789:AABCDEFGHIJKLMNOPQRSTUVWXYZabcdefgh", "chat": "-12315544"},
        "tgram://123456789:AABCDEFGHIJKLMNOPQRSTUVWXYZabcdefgh/-12315544",
    ),
    "webhook": ({"hook": "https://hooks.example.org/a/b?key=1"}, "jsons://hooks.example.org/a/b?key=1"),
    "other": ({"url": "ntfys://ntfy.example.org/ops"}, "ntfys://ntfy.example.org/ops"),
}


def delivery(channel: NotificationChannel, state: str, **more: Any) -> NotificationDelivery:
    """A message that was tried."""
    at = timezone.now() if state == "delivered" else None
    given = {"event": "failed", "title": f"A message that {state}", "attempts": 1, "delivered_at": at, **more}
    return NotificationDelivery.objects.create(channel=channel, state=state, **given)


@pytest.mark.parametrize("service", SENT)
def test_a_channel_is_asked_for_in_the_words_of_its_service(world: World, service: str) -> None:
    sent, url = SENT[service]
    client, address = world.client("administrator"), f"{reverse(ADD)}?service={service}"
    form = client.get(address).content.decode()
    assert all(f'name="{name}"' in form for name in sent)
    answer = client.post(address, {"name": "Team", "enabled": "on", **sent})
    channel = NotificationChannel.objects.get()
    assert channel.url == url
    assert apprise.Apprise().add(str(channel.url))
    assert answer.headers["Location"] == reverse("admin:deployments_notificationchannel_change", args=[channel.pk])


@pytest.mark.parametrize(
    ("service", "sent", "words"),
    [
        (
            "slack",
            {"hook": "https://example.org/services/T/B/secretpart"},
            "The address is https://hooks.slack.com/services/",
        ),
        ("slack", {"hook": "https://hooks.slack.com/services/T/secretpart"}, "with 3 parts after it"),
        ("webhook", {"hook": "ftp://secretpart.example.org"}, "An address begins with https://"),
        (
            "mail",
            {**MAIL, "security": "ssl", "server": "a.example.org/x", "password": "secretpart"},
            "The name of a server",
        ),
        ("mail", {**MAIL, "security": "ssl", "to": "", "password": "secretpart"}, "This field is required"),
        ("telegram", {"token": "secretpart", "chat": "1"}, "This is no address that Apprise understands."),
    ],
)
def test_what_is_none_of_the_services_is_told_beside_its_field(
    world: World, service: str, sent: dict[str, Any], words: str
) -> None:
    answer = world.client("administrator").post(f"{reverse(ADD)}?service={service}", {"name": "Team", **sent})
    page = answer.content.decode()
    assert words in text_of(page)
    assert 'value="Team"' in page
    assert "secretpart" not in page
    assert not NotificationChannel.objects.exists()


def test_a_new_channel_asks_for_a_test_and_its_page_says_what_became_of_messages(world: World) -> None:
    channel = NotificationChannel.objects.create(name="ops", url="slack://a/b/secretpart", events=["failed"])
    address = reverse("admin:deployments_notificationchannel_change", args=[channel.pk])
    client = world.client("administrator")
    page = text_of(client.get(address).content.decode())
    assert "Never tried Slack, tells of every environment" in page
    assert "No message has arrived by it yet." in page
    delivery(channel, "failed", error="The server refused the connection.")
    page = text_of(client.get(address).content.decode())
    assert "Failing" in page
    assert "The server refused the connection." in page
    delivery(channel, "delivered")
    page = client.get(address).content.decode()
    assert "Working" in page
    assert "A deployment failed" in page
    assert "No message has arrived by it yet." not in page
    assert reverse("admin:deployments_notificationchannel_settings", args=[channel.pk]) in page
    assert "secretpart" not in page


def test_readers_see_the_page_and_neither_form_nor_url(world: World) -> None:
    channel = NotificationChannel.objects.create(name="ops", url="slack://a/b/secretpart", events=[])
    client = world.client("viewer")
    page = client.get(reverse("admin:deployments_notificationchannel_change", args=[channel.pk]))
    assert page.status_code == 200
    form = reverse("admin:deployments_notificationchannel_settings", args=[channel.pk])
    assert form not in page.content.decode()
    assert "Delete this channel" not in page.content.decode()
    refused = client.get(form)
    assert refused.status_code == 403
    assert "secretpart" not in page.content.decode() + refused.content.decode()


def test_the_list_says_which_channels_work_at_the_same_cost(world: World) -> None:
    client = world.client("administrator")

    def read() -> tuple[str, int]:
        with CaptureQueriesContext(connection) as seen:
            page = client.get(reverse(LIST)).content.decode()
        return text_of(page), len(seen)

    delivery(NotificationChannel.objects.create(name="a", url="json://localhost"), "delivered")
    read()
    before = read()[1]
    delivery(NotificationChannel.objects.create(name="b", url="json://localhost"), "failed")
    NotificationChannel.objects.create(name="c", url="json://localhost")
    NotificationChannel.objects.create(name="d", url="json://localhost", enabled=False, environment=world.test)
    words, after = read()
    assert all(said in words for said in ("Working", "Failing", "Never tried", "Switched off"))
    assert after == before

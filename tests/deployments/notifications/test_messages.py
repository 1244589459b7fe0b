"""Messages reach real services, are tried again when those fail, and leave a record that holds no secret."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from deployments.models import AuditEvent, NotificationChannel, NotificationDelivery
from deployments.notifications import channels, messages
from deployments.notifications.channels import delete_channel, save_channel, send_again
from deployments.requests.approvals import approve
from engine.errors import Conflict, InvalidRequest, NotAllowed
from sandbox.mail import MailSink, WebhookSink
from tests.deployments.world import World

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")
CANARY = "hunter2-canary-password"
State = NotificationDelivery.State


@pytest.fixture
def webhook() -> Iterator[WebhookSink]:
    """A web server that keeps what is posted to it."""
    with WebhookSink() as sink:
        yield sink


@pytest.fixture
def mail() -> Iterator[MailSink]:
    """An SMTP server that keeps what is sent to it."""
    with MailSink() as sink:
        yield sink


def _channel(world: World, url: str, **more: Any) -> NotificationChannel:
    values = {"name": "chat", "url": url, "environment": None, "events": [], "enabled": True, **more}
    return save_channel(actor=world.people["administrator"], channel=None, values=values)


def _due_again() -> None:
    NotificationDelivery.objects.update(next_attempt_at=timezone.now() - timedelta(seconds=1))


def test_a_webhook_hears_of_a_request_and_the_delivery_is_recorded(world: World, webhook: WebhookSink) -> None:
    _channel(world, f"json://user:{CANARY}@127.0.0.1:{webhook.port}/hook")
    row = world.request()
    last = AuditEvent.objects.first()
    assert messages.deliver_waiting() == 1
    posted: Any = webhook.wait_for(lambda post: True).data
    assert posted["title"] == f"production: deployment {row.pk} waits for approval"
    assert f"/deployments/{row.pk}/" in posted["message"]
    assert last is not None
    assert f"Audit head {last.sequence}:{last.hash}" in posted["message"]
    delivery = NotificationDelivery.objects.get()
    assert (delivery.state, delivery.attempts, delivery.error) == (State.DELIVERED, 1, "")
    assert delivery.delivered_at is not None
    assert messages.deliver_waiting() == 0, "nothing is sent twice"


def test_mail_arrives(world: World, mail: MailSink) -> None:
    _channel(world, f"mailto://127.0.0.1:{mail.port}?from=portal@example.org&to=ops@example.org")
    row = world.request()
    approve(actor=world.people["approver"], deployment=row)
    assert messages.deliver_waiting() == 2
    arrived = mail.wait_for(lambda message: "was approved by approver" in message.subject)
    assert arrived.recipients == ("ops@example.org",)


def test_a_service_that_is_down_is_tried_again_later_each_time_and_then_given_up(world: World) -> None:
    _channel(world, f"json://user:{CANARY}@127.0.0.1:9/hook")
    world.request()
    pauses = []
    for attempt in range(1, messages.ATTEMPTS + 1):
        before = timezone.now()
        assert messages.deliver_waiting() == 0
        delivery = NotificationDelivery.objects.get()
        assert delivery.attempts == attempt
        assert delivery.next_attempt_at is not None
        pauses.append(round((delivery.next_attempt_at - before).total_seconds()))
        assert messages.deliver_waiting() == 0
        assert NotificationDelivery.objects.get().attempts == attempt, "not before its time"
        _due_again()
    assert pauses == sorted(pauses)
    assert pauses[0] < 60 < pauses[-1]
    delivery = NotificationDelivery.objects.get()
    assert delivery.state == State.FAILED
    assert "did not accept" in delivery.error
    assert CANARY not in delivery.error
    assert messages.deliver_waiting() == 0, "given up is given up"
    assert sum(pauses) > timedelta(days=3).total_seconds()
    assert max(pauses) < 3700


def test_what_was_given_up_is_sent_again_by_who_may(world: World) -> None:
    channel = _channel(world, "json://127.0.0.1:9/hook")
    world.request()
    with pytest.raises(Conflict, match="not given up"):
        send_again(actor=world.people["administrator"], delivery=NotificationDelivery.objects.get())
    NotificationDelivery.objects.update(state=State.FAILED, attempts=messages.ATTEMPTS)
    delivery = NotificationDelivery.objects.get()
    with pytest.raises(NotAllowed):
        send_again(actor=world.people["viewer"], delivery=delivery)
    with WebhookSink() as again:
        channel.url = f"json://127.0.0.1:{again.port}/hook"
        channel.save()
        send_again(actor=world.people["administrator"], delivery=delivery)
        assert messages.deliver_waiting() == 1
    event = AuditEvent.objects.first()
    assert event is not None
    assert (event.name, event.data["title"]) == ("notification.sent_again", delivery.title)


def test_an_approval_that_nobody_can_give_any_more_is_not_asked_for(world: World, webhook: WebhookSink) -> None:
    channel = _channel(world, "json://127.0.0.1:9/hook", events=["approval_wanted"])
    row = world.request()
    assert messages.deliver_waiting() == 0
    assert (messages.undelivered(), messages.counts()) == (1, {"waiting": 1, "delivered": 0, "failed": 0})
    approve(actor=world.people["approver"], deployment=row)
    channel.url = f"json://127.0.0.1:{webhook.port}/hook"
    channel.save()
    _due_again()
    assert messages.deliver_waiting() == 0
    delivery = NotificationDelivery.objects.get()
    assert delivery.state == State.FAILED
    assert delivery.error.startswith("What it asks for is over.")
    assert not webhook.messages


def test_a_service_that_comes_back_gets_what_waited(world: World, webhook: WebhookSink) -> None:
    port = webhook.port
    webhook.stop()
    channel = _channel(world, f"json://127.0.0.1:{port}/hook")
    world.request()
    assert messages.deliver_waiting() == 0
    with WebhookSink() as again:
        channel.url = f"json://127.0.0.1:{again.port}/hook"
        channel.save()
        _due_again()
        assert messages.deliver_waiting() == 1
        assert again.wait_for(lambda post: True)
    assert NotificationDelivery.objects.get().error == ""


def test_a_failing_notifier_never_changes_the_result(world: World) -> None:
    _channel(world, "json://127.0.0.1:9/hook")
    row = world.request()
    approve(actor=world.people["approver"], deployment=row)
    messages.deliver_waiting()
    row.refresh_from_db()
    assert row.status == "queued"


def test_channels_hear_of_their_environment_and_their_events_only(world: World) -> None:
    _channel(world, "json://localhost/1", name="tests only", environment=world.test)
    _channel(world, "json://localhost/2", name="approvals only", events=["approval_wanted"])
    _channel(world, "json://localhost/3", name="switched off", enabled=False)
    row = world.request()
    approve(actor=world.people["approver"], deployment=row)
    told = NotificationDelivery.objects.values_list("channel__name", "event")
    assert list(told) == [("approvals only", "approval_wanted")]


def test_a_test_message_proves_a_channel(world: World, webhook: WebhookSink) -> None:
    channel = _channel(world, f"json://127.0.0.1:{webhook.port}/hook", events=["approval_wanted"])
    channels.test_channel(actor=world.people["administrator"], channel=channel)
    assert messages.deliver_waiting() == 1
    posted: Any = webhook.wait_for(lambda post: True).data
    assert posted["title"] == "Test message of the ops portal"


@pytest.mark.parametrize("url", ["", "nonsense", "gopher://x", "json://"])
def test_addresses_nobody_could_be_reached_at_are_refused(world: World, url: str) -> None:
    with pytest.raises(InvalidRequest):
        _channel(world, url)


def test_events_that_do_not_exist_are_refused(world: World) -> None:
    with pytest.raises(InvalidRequest):
        _channel(world, "json://localhost/x", events=["everything"])


def test_only_an_administrator_changes_channels(world: World) -> None:
    channel = _channel(world, "json://localhost/x")
    for change in (
        lambda actor: save_channel(actor=actor, channel=channel, values={"enabled": False}),
        lambda actor: delete_channel(actor=actor, channel=channel),
        lambda actor: channels.test_channel(actor=actor, channel=channel),
    ):
        with pytest.raises(NotAllowed):
            change(world.people["operator"])


def test_the_address_is_encrypted_and_its_change_is_told_without_it(world: World) -> None:
    from django.db import connection

    channel = _channel(world, f"json://user:{CANARY}@localhost/x")
    admin = world.people["administrator"]
    save_channel(actor=admin, channel=channel, values={"url": f"json://user:{CANARY}2@localhost/x"})
    save_channel(actor=admin, channel=channel, values={"enabled": True})
    events = AuditEvent.objects.filter(subject=f"channel:{channel.pk}")
    assert [event.name for event in events] == ["channel.changed", "channel.added"]
    assert events[0].data["changes"] == {"url": ["(secret)", "(another secret)"]}
    assert CANARY not in str(list(AuditEvent.objects.values()))
    with connection.cursor() as cursor:
        cursor.execute("SELECT url FROM deployments_notificationchannel")
        assert CANARY not in str(cursor.fetchall())
    delete_channel(actor=admin, channel=channel)
    assert AuditEvent.objects.filter(name="channel.deleted").exists()

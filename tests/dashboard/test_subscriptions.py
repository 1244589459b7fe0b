"""Incidents by e-mail: asked for, confirmed, told and ended, through a real mail server."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from alerting.incidents.recording import Said, open_incident, update_incident
from dashboard.models import StatusPage
from deployments.core.actors import Actor
from deployments.models import Environment, NotificationChannel, NotificationDelivery, Subscriber
from deployments.notifications import messages, subscribers
from deployments.notifications.channels import save_channel
from engine.errors import InvalidRequest, PortalError
from sandbox.mail import MailSink
from sandbox.mail.sink import Mail
from tests.fixtures.records import MakePerson

pytestmark = [pytest.mark.django_db, pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")]
ASK = "/incidents/subscribe/"
ADDRESS = "rosa@example.org"


@pytest.fixture
def mail() -> Iterator[MailSink]:
    """An SMTP server that keeps what is sent to it."""
    with MailSink() as sink:
        yield sink


@pytest.fixture
def olga(make_person: MakePerson) -> Actor:
    """An operator."""
    return make_person("olga", "operator")


def values(port: int, **more: Any) -> dict[str, Any]:
    url = f"mailto://127.0.0.1:{port}?from=ops@example.org&to=team@example.org&bcc=all@example.org"
    fields = {"name": "mail", "url": url, "application": None, "environment": None, "events": ["drill"]}
    return fields | {"enabled": True, "mails_subscribers": True} | more


@pytest.fixture
def channel(mail: MailSink, make_person: MakePerson) -> NotificationChannel:
    """The channel that an administrator chose for it."""
    return save_channel(actor=make_person("ada", "administrator"), channel=None, values=values(mail.port))


def sent(mail: MailSink, address: str = ADDRESS) -> list[Mail]:
    """What this address has, after everything that waits has left."""
    messages.deliver_waiting()
    return [one for one in mail.messages if one.recipients == (address,)]


def link(message: Mail, what: str) -> str:
    """The path of a link of a mail."""
    found = re.search(rf"https?://[^/\s]+(/incidents/subscription/{what}/\w+/)", message.text)
    assert found, message.text
    return found[1]


def opened(actor: Actor, *, public: bool = True) -> Any:
    return open_incident(actor=actor, title="No music", said=Said("We look.", severity="major", public=public))


@pytest.fixture
def rosa(anyone: Client, channel: NotificationChannel, mail: MailSink) -> Mail:
    """Somebody who has subscribed; the mail that asked for her confirmation."""
    assert anyone.post(ASK, {"address": ADDRESS}).status_code == 200
    (asked,) = sent(mail)
    assert anyone.post(link(asked, "confirm")).status_code == 200
    return asked


def test_whoever_confirms_is_told_until_they_end_it(rosa: Mail, anyone: Client, mail: MailSink, olga: Actor) -> None:
    assert rosa.recipients == (ADDRESS,)
    row = opened(olga)
    update_incident(actor=olga, incident=row, said=Said("It plays again.", state="resolved"))
    _, first, last = sent(mail)
    assert (first.subject, last.subject) == ("No music (investigating)", "No music (resolved)")
    assert "It plays again." in last.text
    assert f"/incidents/{row.pk}/" in last.text
    assert "olga" not in f"{first.text}{first.html}{last.text}{last.html}"
    assert anyone.get(link(first, "end")).status_code == 200
    opened(olga)
    assert len(sent(mail)) == 4, "a look at the link ends nothing"
    assert anyone.post(link(first, "end")).status_code == 200
    opened(olga)
    assert len(sent(mail)) == 4
    assert not Subscriber.objects.exists()
    assert anyone.post(link(last, "end")).status_code == 404, "links are of one use"


def test_nobody_is_told_before_the_address_is_confirmed(
    channel: NotificationChannel, anyone: Client, mail: MailSink, olga: Actor
) -> None:
    anyone.post(ASK, {"address": ADDRESS})
    opened(olga)
    (asked,) = sent(mail)
    assert anyone.get(link(asked, "confirm")).status_code == 200
    assert Subscriber.objects.get().confirmed_at is None, "a look at the link confirms nothing"
    assert anyone.post(link(asked, "confirm")).status_code == 200
    assert anyone.post(link(asked, "confirm")).status_code == 404, "once"
    assert anyone.post("/incidents/subscription/confirm/none/").status_code == 404


def test_a_link_is_too_old_after_a_day_and_the_address_is_forgotten(
    channel: NotificationChannel, anyone: Client, mail: MailSink
) -> None:
    anyone.post(ASK, {"address": ADDRESS})
    (asked,) = sent(mail)
    Subscriber.objects.update(asked_at=timezone.now() - subscribers.CONFIRM_WITHIN - timedelta(seconds=1))
    assert anyone.post(link(asked, "confirm")).status_code == 404
    subscribers.forget_unconfirmed()
    assert not Subscriber.objects.exists()
    assert not NotificationDelivery.objects.exists()


def test_what_only_members_see_is_mailed_to_nobody(rosa: Mail, mail: MailSink, olga: Actor) -> None:
    row = opened(olga, public=False)
    assert len(sent(mail)) == 1
    update_incident(actor=olga, incident=row, said=Said("Now all may know.", public=True))
    assert "Now all may know." in sent(mail)[-1].text


def test_mail_programs_can_end_it_with_one_click(rosa: Mail, mail: MailSink, olga: Actor) -> None:
    opened(olga)
    last = sent(mail)[-1]
    assert last.message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    address = last.message["List-Unsubscribe"].strip("<>")
    assert address.endswith(link(last, "end"))
    theirs = Client(enforce_csrf_checks=True)  # a program of somebody else's, without cookies
    assert theirs.post(link(last, "end"), {"List-Unsubscribe": "One-Click"}).status_code == 200
    assert not Subscriber.objects.exists()


@pytest.mark.parametrize("wrong", ['"a\x0bb"@example.org', '"a b"@example.org', "rosa@exämple.org", "root@localhost"])
def test_what_mail_programs_read_in_ways_of_their_own_is_no_address(channel: NotificationChannel, wrong: str) -> None:
    with pytest.raises(InvalidRequest):
        subscribers.subscribe(wrong, to="us")
    assert not Subscriber.objects.exists()


def test_one_mailbox_by_many_names_is_sent_one_mail(channel: NotificationChannel) -> None:
    for number in range(20):
        subscribers.subscribe(f"rosa+{number}@example.org", to="us")
    assert NotificationDelivery.objects.filter(event=subscribers.CONFIRM).count() == 1


def test_a_crowd_of_subscribers_holds_up_the_team_for_a_few_mails(rosa: Mail, mail: MailSink, olga: Actor) -> None:
    Subscriber.objects.bulk_create(
        Subscriber(
            address=f"one-{number}@example.org",
            address_digest=f"{number}",
            asked_at=timezone.now(),
            confirmed_at=timezone.now(),
            secret=f"{number}",
            cancellation=f"{number}",
        )
        for number in range(messages.MAILS + 5)
    )
    opened(olga)
    before = len(mail.messages)
    messages.deliver_waiting()
    assert len(mail.messages) - before == messages.MAILS
    messages.deliver_waiting()
    assert not NotificationDelivery.objects.filter(state="waiting").exists()


def test_every_address_is_answered_alike_and_mailed_once_a_day(rosa: Mail, anyone: Client, mail: MailSink) -> None:
    known, unknown = (anyone.post(ASK, {"address": address}) for address in (ADDRESS.upper(), "new@example.org"))
    assert (known.status_code, known.content) == (unknown.status_code, unknown.content)
    assert len(sent(mail)) == 1, "it was sent one a moment ago"
    Subscriber.objects.update(asked_at=timezone.now() - subscribers.ASKED_AGAIN - timedelta(seconds=1))
    assert anyone.post(ASK, {"address": ADDRESS}).content == unknown.content
    again = sent(mail)[-1]
    assert "told of incidents already" in again.text
    assert "confirm/" not in again.text
    assert link(again, "end") == link(rosa, "end")


def test_one_visitor_asks_for_a_few_addresses_a_minute(channel: NotificationChannel, anyone: Client) -> None:
    def ask(number: int, visitor: str) -> int:
        return anyone.post(ASK, {"address": f"one-{number}@example.org"}, REMOTE_ADDR=visitor).status_code

    answers = [ask(number, "203.0.113.5") for number in range(14)]  # a minute may end among them
    assert answers.count(429) >= 4
    assert Subscriber.objects.count() == answers.count(200)
    assert ask(20, "203.0.113.6") == 200


@pytest.mark.parametrize(
    "typed", ["", "rosa", "rosa@example.org, all@example.org", "a\r\nBcc: b@example.org", "é@x", "x" * 300]
)
def test_what_is_no_address_is_said_and_kept(channel: NotificationChannel, anyone: Client, typed: str) -> None:
    answer = anyone.post(ASK, {"address": typed})
    assert answer.status_code == InvalidRequest.http_status
    assert "This is no e-mail address." in answer.content.decode()
    assert f'value="{typed[:20]}' in answer.content.decode()
    assert not Subscriber.objects.exists()


def test_neither_the_database_nor_the_record_of_messages_holds_a_link_or_an_address(rosa: Mail) -> None:
    tokens = [link(rosa, what).split("/")[-2] for what in ("confirm", "end")]
    with connection.cursor() as cursor:
        for table in ("deployments_subscriber", "deployments_notificationdelivery"):
            cursor.execute(f"SELECT * FROM {table}")
            stored = repr(cursor.fetchall())
            for secret in (*tokens, ADDRESS, "rosa"):
                assert secret not in stored, table


def test_a_channel_for_subscribers_is_for_everything_and_sends_mail(make_person: MakePerson) -> None:
    ada = make_person("ada", "administrator")
    refused = (
        {"url": "json://127.0.0.1/hook"},
        {"environment": Environment.objects.get(name="test")},
    )
    for changes in refused:
        with pytest.raises(InvalidRequest):
            save_channel(actor=ada, channel=None, values=values(25, **changes))


def test_nobody_subscribes_where_nothing_would_be_sent(anyone: Client, mail: MailSink, make_person: MakePerson) -> None:
    assert anyone.get(ASK).status_code == 404
    assert ASK not in anyone.get("/").content.decode()
    ada = make_person("ada", "administrator")
    save_channel(actor=ada, channel=None, values=values(mail.port))
    for path in ("/?environment=test", "/incidents/"):
        assert ASK in anyone.get(path).content.decode(), path
    assert anyone.get(ASK).status_code == 200
    StatusPage.objects.create(pk=1, public=False)
    assert anyone.get(ASK).status_code == 404


def test_mail_that_cannot_be_sent_is_no_trouble_of_the_teams(rosa: Mail, mail: MailSink, olga: Actor) -> None:
    mail.stop()
    opened(olga)
    waiting = NotificationDelivery.objects.filter(state="waiting")
    for attempt in range(messages.SUBSCRIBER_ATTEMPTS):
        assert waiting.count() == 1, attempt
        messages.deliver_waiting()
        assert messages.undelivered() == 0
        waiting.update(next_attempt_at=timezone.now() - timedelta(seconds=1))
    assert not waiting.exists()
    assert messages.counts()["failed"] == 0


def test_the_teams_own_messages_leave_before_those_to_subscribers(
    rosa: Mail, mail: MailSink, olga: Actor, channel: NotificationChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messages, "GO", 1)
    opened(olga)
    messages.announce_test(channel, by="ada")
    messages.deliver_waiting()
    assert mail.messages[-1].subject.startswith("Test message")
    messages.deliver_waiting()
    assert mail.messages[-1].subject.startswith("No music")


def test_a_portal_that_is_not_in_charge_takes_nobody(
    channel: NotificationChannel, anyone: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise PortalError("This portal has moved.", hint="Go there.")

    monkeypatch.setattr(subscribers, "refuse_change", refuse)
    assert "This portal has moved." in anyone.post(ASK, {"address": ADDRESS}).content.decode()
    assert not Subscriber.objects.exists()

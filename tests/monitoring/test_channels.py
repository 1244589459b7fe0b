"""Receipts of channels that the portal does not see itself, from what Alertmanager counts."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from alerting import inbox
from alerting import receipts as service
from alerting.channels import channels
from alerting.dead_mans_switch import SWITCH
from alerting.inbox import Delivery, Report
from alerting.models import AlertChannel, AlertReceipt
from engine.alertmanager import Alertmanager, AlertmanagerUnreachable, Taken

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
Counted = Callable[[int, int], None]


@pytest.fixture
def mail(monkeypatch: pytest.MonkeyPatch) -> Counted:
    """`mail(taken, failed)`: what Alertmanager counts for mail; the live test has the real one."""

    def count(taken: int, failed: int) -> None:
        monkeypatch.setattr(Alertmanager, "integrations", lambda _: {"email"})
        monkeypatch.setattr(Alertmanager, "taken", lambda _: {"email": Taken(taken, failed)})

    return count


def told(seconds: float, *names: str, group: str = "a") -> None:
    reports = [Report(name, "firing", NOON, labels={"alertname": name}) for name in names]
    at = NOON + timedelta(seconds=seconds)
    inbox.receive(delivery=Delivery("people", group, reports), now=at)


def read(seconds: float) -> list[str]:
    service.read(NOON + timedelta(seconds=seconds))
    return list(AlertReceipt.objects.filter(channel="email").order_by("pk").values_list("alert__name", flat=True))


def test_what_the_portal_was_told_of_and_mail_took_has_its_receipt_there(mail: Counted) -> None:
    mail(5, 0)
    assert read(0) == []
    told(10, "BotDown", "BotRestarting")
    told(20, "DiskSpaceLow", group="b")
    told(30, SWITCH, group="c")
    assert read(40) == []
    mail(6, 0)
    assert read(60) == [], "one of two messages: nobody knows which"
    mail(7, 0)
    assert sorted(read(120)) == ["BotDown", "BotRestarting", "DiskSpaceLow"]
    assert len(read(180)) == 3
    assert AlertChannel.objects.get().proven_at == NOON + timedelta(seconds=120)


def test_mail_that_fails_is_told_and_what_it_takes_later_counts(mail: Counted) -> None:
    mail(0, 0)
    read(0)
    told(10, "BotDown")
    mail(0, 2)
    assert read(60) == []
    mail(0, 4)
    read(120)
    failing = {one.name: one.failing_since for one in channels()}
    assert failing == {"portal": None, "email": NOON + timedelta(seconds=60)}
    mail(1, 4)
    assert read(180) == ["BotDown"]
    assert AlertChannel.objects.get().failing_since is None


def test_what_mail_never_takes_gets_no_receipt_and_does_not_stand_in_the_way(mail: Counted) -> None:
    mail(0, 0)
    read(0)
    told(10, "BotDown")
    assert read(300) == []
    assert read(700) == []
    told(710, "DiskSpaceLow")
    mail(1, 0)
    assert read(720) == ["DiskSpaceLow"]


def test_what_mail_took_before_the_portal_was_told_of_it_has_its_receipt(mail: Counted) -> None:
    mail(5, 0)
    read(0)
    told(10, "BotDown")
    mail(7, 0)
    assert read(15) == ["BotDown"], "the second is not yet told"
    assert read(16) == ["BotDown"]
    told(20, "DiskSpaceLow", group="b")
    assert read(25) == ["BotDown", "DiskSpaceLow"]


def test_what_the_portal_was_told_twice_is_one_message(mail: Counted) -> None:
    """Alertmanager tells it again when the answer came too late for it."""
    mail(5, 0)
    read(0)
    told(10, "BotDown")
    told(12, "BotDown")
    mail(6, 0)
    assert read(15) == ["BotDown"]
    told(17, "BotDown")
    told(18, "DiskSpaceLow", group="b")
    assert read(19) == ["BotDown"]
    mail(7, 0)
    assert read(20) == ["BotDown", "DiskSpaceLow"]


def test_what_was_being_stored_during_a_look_has_its_receipt_after_the_next(mail: Counted) -> None:
    mail(5, 0)
    read(0)
    mail(6, 0)
    assert read(10) == []
    told(9, "BotDown")  # it came before the look, and was written after it
    assert read(20) == ["BotDown"]


def test_what_mail_took_and_the_portal_was_not_told_of_proves_nothing_later(mail: Counted) -> None:
    mail(5, 0)
    read(0)
    mail(6, 0)
    read(10)
    assert read(50) == []
    told(60, "BotDown")
    assert read(70) == []
    mail(7, 0)
    assert read(80) == ["BotDown"]


def test_a_new_start_of_alertmanager_proves_nothing(mail: Counted) -> None:
    mail(9, 0)
    read(0)
    told(10, "BotDown")
    mail(1, 0)
    assert read(60) == []
    assert AlertChannel.objects.get().proven_at is None
    told(70, "DiskSpaceLow")
    mail(2, 0)
    assert read(120) == ["DiskSpaceLow"]


def test_a_channel_that_is_no_longer_configured_is_no_longer_shown(mail: Counted, monkeypatch: Any) -> None:
    mail(0, 0)
    read(0)
    monkeypatch.setattr(Alertmanager, "integrations", lambda _: set())
    read(60)
    assert [one.name for one in channels()] == ["portal"]


def test_an_alertmanager_that_is_away_changes_nothing(mail: Counted, monkeypatch: Any) -> None:
    mail(0, 0)
    read(0)

    def away(_: Alertmanager) -> Any:
        raise AlertmanagerUnreachable("away")

    monkeypatch.setattr(Alertmanager, "taken", away)
    assert read(60) == []
    assert AlertChannel.objects.exists()

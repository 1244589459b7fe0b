"""A window so short that its limits cannot be judged: whoever starts it is told, and its report says why."""

from collections.abc import Callable
from datetime import timedelta
from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client

from dashboard.models import Validation
from dashboard.validation import readings, running
from deployments.access.policy import user_actor
from deployments.core.actors import Actor
from deployments.models import Server
from tests.dashboard.test_validations import NOON, Values, good

pytestmark = pytest.mark.django_db
Enrol = Callable[..., Server]
FIRST_READ_AFTER = 10
"""Seconds; a worker that has other things to do takes longer."""


@pytest.fixture
def actor() -> Actor:
    return user_actor(User.objects.create_superuser("olga"))


def wobbling(minute: int) -> Values:
    """A bot that is well and whose memory goes up and down by half a megabyte."""
    return good(minute) | {"rss": 50e6 + (minute * 5 % 11) * 1e5}


def measured(actor: Actor, server: Server, hours: float, monkeypatch: pytest.MonkeyPatch) -> Validation:
    """A window over that bot, read by the minute to its end."""
    row = running.start(actor=actor, environment=server.environment, hours=hours, now=NOON)
    for minute in range(int(hours * 60) + 1):
        monkeypatch.setattr(readings, "read", lambda _server, minute=minute: wobbling(minute))
        running.tick(NOON + timedelta(minutes=minute, seconds=FIRST_READ_AFTER))
    row.refresh_from_db()
    return row


def test_the_shortest_sensible_window_of_a_bot_that_is_well_passes(
    actor: Actor, enrol: Enrol, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = measured(actor, enrol(), running.SENSIBLE_HOURS, monkeypatch)
    assert row.state == Validation.State.PASSED, row.sentence
    assert running.warning(row) == ""


def test_a_shorter_one_of_the_same_bot_tells_nothing_and_says_why(
    actor: Actor, enrol: Enrol, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = measured(actor, enrol(), 1 / 6, monkeypatch)
    unmeasured = {limit["key"] for limit in row.limits if limit["verdict"] == "not measured yet"}
    assert unmeasured == {"uptime:prod-1", "lag:prod-1", "memory:prod-1"}
    assert row.state == Validation.State.INTERRUPTED
    assert row.sentence.startswith(running.TOO_SHORT)
    assert running.TOO_SHORT in row.markdown


@pytest.mark.parametrize(("hours", "warned"), [(0.5, True), (1.0, False)])
def test_whoever_starts_one_is_told_at_once(hours: float, warned: bool, enrol: Enrol) -> None:
    enrol()
    out = StringIO()
    call_command("validate", "start", "production", hours=hours, stdout=out)
    (row,) = Validation.objects.all()
    hint = f"validate stop {row.pk}, then validate start production"
    assert (running.TOO_SHORT in out.getvalue(), hint in out.getvalue()) == (warned, warned)
    reader = Client()
    reader.force_login(User.objects.create_superuser("root"), backend="django.contrib.auth.backends.ModelBackend")
    assert (running.TOO_SHORT in reader.get(f"/validations/{row.pk}/").content.decode()) == warned
    if warned:  # the hint works
        call_command("validate", "stop", str(row.pk), stdout=StringIO())
        call_command("validate", "start", "production", stdout=StringIO())

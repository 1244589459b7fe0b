"""What a page once said against another page, or against itself."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from deployments.lifecycle import Kind, Status, TargetStatus
from deployments.models import Approval, Server
from tests.dashboard import records
from tests.fixtures.records import MakePerson

pytestmark = pytest.mark.django_db
Enrol = Callable[..., Server]


@pytest.fixture
def said(make_person: MakePerson) -> Callable[[str], str]:
    """`said("/alerts/")`: a page's words as an operator reads them."""
    make_person("olga", "operator")
    client = Client()
    client.force_login(User.objects.get(username="olga"), backend="django.contrib.auth.backends.ModelBackend")

    def read(path: str) -> str:
        answer = client.get(path)
        assert answer.status_code == 200, (path, answer.status_code)
        html = answer.content.decode().replace("&#x27;", "'")
        return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))

    return read


def test_a_rollback_is_named_by_where_it_goes(enrol: Enrol, said: Callable[[str], str]) -> None:
    server = enrol(current_release=records.release("0.1.0"))
    records.beat(server)
    row = records.deployment(server, kind=Kind.ROLLBACK, at=timezone.now() - timedelta(seconds=40))
    alert = records.alert(server.environment, server=server, starts_at=timezone.now())
    for path in ("/?range=1h", "/bots/prod-1/?range=1h", f"/deployments/{row.pk}/", f"/alerts/{alert.pk}/"):
        page = said(path)
        assert "Rollback to 0.1.0" in page, path
        assert "Rollback of" not in page, path


@pytest.mark.parametrize(
    ("status", "pills"),
    [(Status.REJECTED, "Rejected"), (Status.EXPIRED, "Expired"), (Status.CANCELLED, "Cancelled")],
)
def test_what_never_began_is_neither_waiting_nor_approved(
    enrol: Enrol, said: Callable[[str], str], status: Status, pills: str
) -> None:
    server = enrol()
    row = records.deployment(server, status, started_at=None)
    row.targets.update(status=TargetStatus.WAITING)
    row.snapshot["policy"]["approvals_required"] = 1
    row.save()
    if status == Status.REJECTED:
        Approval.objects.create(deployment=row, actor="arno", decision=Approval.Decision.REJECTED, seal=row.seal)
    page = said(f"/deployments/{row.pk}/")
    assert "1 of 1" not in page
    assert "Waiting" not in page
    assert "Not begun" in page
    assert pills in page


def test_what_was_taken_back_runs_no_more(enrol: Enrol, said: Callable[[str], str]) -> None:
    server = enrol()
    first, second = records.release("0.1.0"), records.release("0.2.0")
    hour = timezone.now() - timedelta(hours=1)
    records.deployment(server, release=first, at=hour, sentence="0.1.0 runs on prod-1, verified.")
    row = records.deployment(
        server, release=second, at=hour + timedelta(minutes=10), sentence="0.2.0 runs on prod-1, verified."
    )
    assert "runs no more" not in said(f"/deployments/{row.pk}/")
    back = records.deployment(server, release=first, kind=Kind.ROLLBACK, rollback_of=row)
    page = said(f"/deployments/{row.pk}/")
    assert f"It runs no more: #{back.pk} put 0.1.0 there" in page
    assert "runs on prod-1" not in page
    assert "Taken back" in page
    assert "runs no more" not in said(f"/deployments/{back.pk}/")


@pytest.mark.parametrize(("ago", "changes"), [(5, {"goodbye": True}), (90, {})])
def test_a_bot_that_is_gone_runs_for_nothing(
    enrol: Enrol, said: Callable[[str], str], ago: float, changes: dict[str, Any]
) -> None:
    records.beat(enrol(), ago, uptime=106.0, **changes)
    page = said("/")
    assert "Last ran for 1 min 46 s" in page
    assert "Running for" not in page


def test_the_bot_counts_itself_and_says_so(enrol: Enrol, said: Callable[[str], str]) -> None:
    records.beat(enrol(), user_count=1)
    page = said("/")
    assert "Users, with the bot 1" in page
    assert "Users in the room, with the bot" in page

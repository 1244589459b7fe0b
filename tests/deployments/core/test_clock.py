"""What decides goes by the database's clock, whatever the machine's own says."""

from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.utils import timezone
from django_q.models import OrmQ

from deployments.core import clock, queueing
from deployments.core.actors import system_actor
from deployments.execution import liveness
from deployments.execution.claims import take_over
from deployments.execution.reaper import reap
from deployments.execution.recorder import LEASE
from deployments.lifecycle import Status
from deployments.models import Deployment
from deployments.requests.approvals import expire_requests
from tests.deployments.world import World

AHEAD, BEHIND = timedelta(minutes=10), timedelta(minutes=-10)
NEAR = timedelta(minutes=2)
"""Far more than asking the database takes, far less than the machine's clock is wrong."""


@pytest.fixture(params=[AHEAD, BEHIND], ids=["ahead", "behind"])
def wrong(request: pytest.FixtureRequest, db: None, monkeypatch: pytest.MonkeyPatch) -> timedelta:
    """A process on a machine whose clock is ten minutes wrong, and that has not asked the database yet."""
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has no clock of its own")

    class Wrong(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return super().now(tz) + request.param

    monkeypatch.setattr(timezone, "datetime", Wrong)
    monkeypatch.setattr(clock, "_known", clock._Known())
    return timedelta(seconds=request.param.total_seconds())


def database_time() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        found: datetime = cursor.fetchone()[0]
        return found


def test_the_time_is_the_databases(wrong: timedelta) -> None:
    assert abs(clock._machine() - database_time()) > NEAR, "the machine's clock is wrong"
    assert abs(timezone.now() - database_time()) < NEAR
    with transaction.atomic():
        assert abs(timezone.now() - database_time()) < NEAR


def test_a_healthy_deployment_is_not_taken_over_and_one_whose_worker_died_is(wrong: timedelta, world: World) -> None:
    row = world.request(environment="test")
    Deployment.objects.filter(pk=row.pk).update(status=Status.RUNNING, lease_until=database_time() + LEASE)
    row.refresh_from_db()
    assert take_over(row) is None
    reap()
    row.refresh_from_db()
    assert row.status == Status.RUNNING
    Deployment.objects.filter(pk=row.pk).update(lease_until=database_time() - timedelta(seconds=1))
    assert take_over(row) is not None
    row.refresh_from_db()
    assert row.lease_until is not None
    assert timedelta() < row.lease_until - database_time() <= LEASE + NEAR


def test_requests_expire_and_tasks_are_due_by_it(wrong: timedelta, world: World) -> None:
    row = world.request()
    Deployment.objects.filter(pk=row.pk).update(expires_at=database_time() + timedelta(minutes=5))
    expire_requests(actor=system_actor("tests"))
    row.refresh_from_db()
    assert row.status == Status.AWAITING_APPROVAL
    Deployment.objects.filter(pk=row.pk).update(expires_at=database_time() - timedelta(minutes=5))
    expire_requests(actor=system_actor("tests"))
    row.refresh_from_db()
    assert row.status == Status.EXPIRED
    OrmQ.objects.all().delete()
    queueing.enqueue_inspection(row.environment_id)
    due = OrmQ.objects.get().lock
    assert due is not None
    assert abs(due - database_time()) < NEAR
    assert liveness.stalled(queueing.DEPLOYS, since=database_time()) is None


def test_asking_fails_no_transaction_and_is_no_statement_of_it(wrong: timedelta) -> None:
    with transaction.atomic(), connection.execute_wrapper(_no_statement):
        asked = timezone.now()
    with transaction.atomic():
        before = transaction.savepoint()
        with suppress(DatabaseError), connection.cursor() as cursor:
            cursor.execute("SELECT nothing")
        clock._known.ask_at = 0.0
        within = timezone.now()
        transaction.savepoint_rollback(before)
        assert abs(within - database_time()) < NEAR
    assert abs(asked - database_time()) < NEAR


def _no_statement(*_: object) -> None:
    raise AssertionError("a statement of the transaction")


def test_without_the_database_the_machines_clock_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "_known", clock._Known())
    before = clock._machine()
    assert before <= clock.now() <= clock._machine()

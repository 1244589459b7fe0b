"""What readiness reads of deployments: those of ninety days, however many there were before."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from benchmarks import filling
from dashboard.readiness.deployment_records import RECORDS, Took, deployment_records
from deployments.lifecycle import Status
from deployments.models import Deployment, Environment

pytestmark = pytest.mark.django_db
SIZE = filling.Size(environments=2, servers=2, people=2, releases=20, deployments=100, lines=0, alerts=0, events=0)


def test_what_ended_in_ninety_days_counts_and_a_refused_request_ended_nothing() -> None:
    filling.fill(SIZE)
    now, newest = timezone.now(), list(Deployment.objects.order_by("-pk")[:3])
    Deployment.objects.exclude(pk__in=[row.pk for row in newest]).update(finished_at=now - RECORDS - timedelta(hours=1))
    slow, failed, refused = newest
    keep = {"kind": "deployment", "requested_at": now - timedelta(seconds=30), "finished_at": now}
    keep |= {"environment": slow.environment, "started_at": now - timedelta(seconds=7, microseconds=500_000)}
    for row, status in ((slow, Status.SUCCEEDED), (failed, Status.FAILED), (refused, Status.REJECTED)):
        Deployment.objects.filter(pk=row.pk).update(status=status, verified_at=None, **keep)
    application = slow.environment.application
    records = deployment_records(now, [application])
    assert records == {application: {"deployment": Took(2, 1, 7.5, 1)}}
    assert isinstance(records[application]["deployment"].slowest, float)
    assert deployment_records(now, ["another"]) == {}
    beside = Environment.objects.create(name="beside", order=99, application=application)
    Deployment.objects.filter(pk=failed.pk).update(environment=beside)
    assert deployment_records(now, [application]) == records, "its environments together"


@pytest.mark.skipif(connection.vendor != "sqlite", reason="the plan is SQLite's: PostgreSQL has statistics")
def test_what_was_before_is_not_looked_at() -> None:
    filling.fill(SIZE)
    names = list(Environment.objects.values_list("application", flat=True))
    with CaptureQueriesContext(connection) as asked:
        deployment_records(timezone.now(), names)
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {asked[1]['sql']}")
        plan = [row[-1] for row in cursor.fetchall()]
    assert "by_environment_end (environment_id=? AND finished_at>?)" in plan[0], plan

"""What counts as the latest backup: one that was made, or the one that this portal comes from."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from dashboard.metrics import PortalCollector
from deployments.audit import trail
from deployments.core.actors import shell_actor
from deployments.drills import records

MADE = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
pytestmark = pytest.mark.django_db


def recorded(name: str, **data: object) -> None:
    with transaction.atomic():
        trail.record(actor=shell_actor("tester"), name=name, subject="backup:x", data=data)


def backup() -> records.Drill:
    return next(drill for drill in records.latest() if drill.key == records.BACKUP)


def test_the_backup_that_a_portal_was_restored_from_is_one_although_no_event_in_it_tells_of_it() -> None:
    assert (backup().at, backup().passed) == (None, False)
    recorded("backup.restored", made_at=MADE.isoformat(timespec="seconds"))
    assert (backup().at, backup().passed) == (MADE, True)
    exported = {
        sample.labels["kind"]: sample.value
        for family in PortalCollector().collect()
        for sample in family.samples
        if sample.name == "portal_rehearsal_timestamp_seconds"
    }
    assert exported["backup.made"] == MADE.timestamp()


def test_one_that_was_made_since_counts_and_an_older_one_that_was_restored_does_not() -> None:
    recorded("backup.made", size=1)
    recorded("backup.restored", made_at=MADE.isoformat(timespec="seconds"))
    made = backup().at
    assert made is not None
    assert timezone.now() - made < timedelta(minutes=5)

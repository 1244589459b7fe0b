"""How long ago each rehearsal was held, from the audit trail.

A drill or backup leaves the event `drill.rollback`, `drill.alerts`, `drill.restore` or `backup.made`; its data says
`passed` (absent: it did).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Max
from django.utils import timezone

from deployments.models import AuditEvent

KINDS = {
    "drill.rollback": "Rollback drill",
    "drill.alerts": "Alert drill",
    "drill.restore": "Restore drill",
    "backup.made": "Backup",
}


@dataclass(frozen=True)
class Drill:
    """The latest of one kind; `at` is None when there was none."""

    key: str
    label: str
    at: datetime | None
    passed: bool


def latest() -> list[Drill]:
    """The latest drill and backup of each kind. Two queries."""
    newest = {
        row["name"]: row["last"]
        for row in AuditEvent.objects.filter(name__in=KINDS).order_by().values("name").annotate(last=Max("sequence"))
    }
    events = {event.name: event for event in AuditEvent.objects.filter(sequence__in=newest.values())}
    return [
        Drill(
            name,
            label,
            event.at if (event := events.get(name)) else None,
            bool(event and event.data.get("passed", True)),
        )
        for name, label in KINDS.items()
    ]


def passed_within(name: str, age: timedelta) -> bool:
    """Whether the latest drill of this name passed and is no older."""
    found = AuditEvent.objects.filter(name=name).order_by("-sequence").first()
    return bool(found and found.data.get("passed") and timezone.now() - found.at <= age)

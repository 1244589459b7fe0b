"""How long ago each rehearsal was held, from the audit trail.

A drill or backup leaves the event `drill.rollback`, `drill.alerts`, `drill.restore` or `backup.made`; its data says
`passed` (absent: it did).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Max
from django.utils import timezone

from deployments.models import AuditEvent

BACKUP, RESTORED = "backup.made", "backup.restored"
KINDS = {
    "drill.rollback": "Rollback drill",
    "drill.alerts": "Alert drill",
    "drill.restore": "Restore drill",
    BACKUP: "Backup",
}


@dataclass(frozen=True)
class Drill:
    """The latest of one kind; `at` is None when there was none."""

    key: str
    label: str
    at: datetime | None
    passed: bool


def latest() -> list[Drill]:
    """The latest drill and backup of each kind; the backup that this portal was restored from is one. Two queries."""
    rows = AuditEvent.objects.filter(name__in=[*KINDS, RESTORED]).order_by().values("name")
    newest = {row["name"]: row["last"] for row in rows.annotate(last=Max("sequence"))}
    events = {event.name: event for event in AuditEvent.objects.filter(sequence__in=newest.values())}
    moments = {name: event.at for name, event in events.items()}
    if restored := events.get(RESTORED):  # what it tells of was written before its own event was
        made = datetime.fromisoformat(restored.data["made_at"])
        moments[BACKUP] = max(made, moments.get(BACKUP, made))
    return [
        Drill(
            name,
            label,
            moments.get(name),
            name in moments and (name not in events or bool(events[name].data.get("passed", True))),
        )
        for name, label in KINDS.items()
    ]


def passed_within(name: str, age: timedelta) -> bool:
    """Whether the latest drill of this name passed and is no older."""
    found = AuditEvent.objects.filter(name=name).order_by("-sequence").first()
    return bool(found and found.data.get("passed") and timezone.now() - found.at <= age)

"""What a record of the agent means here."""

from datetime import datetime

from django.utils import timezone

from deployments.lifecycle import TargetStatus
from engine.remote.result import Record


def moment(record: Record) -> datetime:
    """The time a record carries; the host's clock, so it is shown, never compared with ours."""
    try:
        at = datetime.fromisoformat(str(record["at"]))
    except (KeyError, ValueError):
        return timezone.now()
    return at if at.tzinfo else at.replace(tzinfo=timezone.get_default_timezone())


STATUSES = {
    "succeeded": TargetStatus.SUCCEEDED,
    "failed": TargetStatus.FAILED,
    "reverted": TargetStatus.REVERTED,
    "cancelled": TargetStatus.CANCELLED,
    "interrupted": TargetStatus.INTERRUPTED,
}

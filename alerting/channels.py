"""The channels alerts go by: when each was last proven, and how long the last drill took on it."""

from dataclasses import dataclass
from datetime import datetime

from alerting.models import AlertChannel, AlertReceipt
from alerting.models.alerts import CHANNELS
from alerting.receipts import PORTAL
from deployments.models import AuditEvent


@dataclass(frozen=True)
class Channel:
    """One channel. `proven_at` is None before the first message; times of the last drill are in seconds."""

    name: str
    proven_at: datetime | None
    failing_since: datetime | None
    fired: float | None
    resolved: float | None

    @property
    def label(self) -> str:
        """Its name for people."""
        return CHANNELS.get(self.name, self.name)


def channels() -> list[Channel]:
    """The portal and what else Alertmanager is configured to send with. Three queries."""
    own = AlertReceipt.objects.filter(channel=PORTAL).order_by("-received_at").values_list("received_at", flat=True)
    drill = AuditEvent.objects.filter(name="drill.alerts").order_by("-sequence").first()
    seconds = drill.data.get("seconds", {}) if drill else {}
    rows: list[tuple[str, datetime | None, datetime | None]] = [(PORTAL, own.first(), None)]
    rows += [(row.name, row.proven_at, row.failing_since) for row in AlertChannel.objects.all()]
    return [
        Channel(name, proven, failing, seconds.get(f"{name} firing"), seconds.get(f"{name} resolved"))
        for name, proven, failing in rows
    ]

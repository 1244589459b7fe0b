"""What happened during the time a chart shows: deployments, rollbacks and alerts on one line."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Mark:
    """One event; `kind` is deployment, rollback or alert, which has a `severity`."""

    kind: str
    at: datetime
    label: str
    url: str
    x: float
    severity: str = ""

    @property
    def position(self) -> str:
        """Where it is, in percent of the chart's width."""
        return f"{self.x:.2f}%"


def position(at: datetime, start: datetime, end: datetime) -> float:
    """`at` between `start` (0) and `end` (100), kept inside."""
    part = (at - start).total_seconds() / (end - start).total_seconds() * 100
    return min(99.0, max(1.0, part))

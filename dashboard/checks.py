"""System checks of the status side: what would have it say for ever what was true once."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core import checks
from django.db import DatabaseError
from django.utils import timezone

from alerting import alert_expiry


def ends_of_alerts(databases: Sequence[str] | None = None, **_: Any) -> list[checks.CheckMessage]:
    """dashboard.W001: alerts that fire by an old word, and nobody who could be asked (`check --database default`)."""
    if settings.ALERTMANAGER_URL or "default" not in (databases or ()):
        return []
    try:
        unended = list(alert_expiry.unended(timezone.now()).values_list("name", flat=True))
    except DatabaseError:
        return []  # no tables yet, or no database, which Django reports itself
    if not unended:
        return []
    names = ", ".join(sorted(set(unended)))
    return [
        checks.Warning(
            f"{len(unended)} of the alerts that fire ({names}) were last heard of more than five minutes ago.",
            hint=alert_expiry.CANNOT_ASK,
            id="dashboard.W001",
        )
    ]


def register() -> None:
    """Register the check; called once by the app configuration."""
    checks.register(ends_of_alerts, checks.Tags.database)

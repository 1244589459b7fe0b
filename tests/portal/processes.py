"""What processes of a portal of their own are given."""

import os
from typing import Any

ALERT = {
    "status": "firing",
    "labels": {"alertname": "BotDown"},
    "startsAt": "2026-05-04T12:00:00Z",
    "fingerprint": "ab",
}
DELIVERY: dict[str, Any] = {"version": "4", "groupKey": "g", "receiver": "r", "alerts": [ALERT]}
"""As Alertmanager sends it."""


def without_settings() -> dict[str, str]:
    """This process's environment without what sets a portal up."""
    return {name: text for name, text in os.environ.items() if not name.startswith(("PORTAL_", "DATABASE_", "DJANGO_"))}

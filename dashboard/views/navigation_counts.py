"""What every page of a member carries: how things stand, and what waits for somebody."""

from dataclasses import dataclass

from django.http import HttpRequest
from django.utils import timezone

from dashboard.selectors.overall_status import OverallStatus, overall_status
from deployments.core import selectors
from deployments.http.members import is_member
from deployments.notifications import messages

_KEY = "portal.shell"


@dataclass(frozen=True)
class Shell:
    """Counts of the navigation, and the situation that title and icon tell."""

    situation: OverallStatus
    waiting: int
    drifted: int
    undelivered: int

    @property
    def alarms(self) -> int:
        """Alerts that somebody has to do something about."""
        return len(self.situation.alerts.alarms)


def shell_of(request: HttpRequest) -> Shell | None:
    """Of a member's page, read once; None for strangers. Thirteen queries at most."""
    if _KEY not in request.META:
        request.META[_KEY] = _read() if is_member(request) else None
    found: Shell | None = request.META[_KEY]
    return found


def _read() -> Shell:
    return Shell(
        overall_status(timezone.now()),
        selectors.waiting_requests().count(),
        len(selectors.drifted_servers()),
        messages.undelivered(),
    )

"""What django-q2 runs for the status side: entry points that call one service."""

from django.conf import settings

from alerting import acknowledgements, alert_expiry, dead_mans_switch, drills, receipts
from deployments.core.actors import system_actor
from deployments.core.read_only import unless_read_only


@unless_read_only
def watch_monitoring() -> str:
    """Notice when Prometheus and Alertmanager have gone quiet."""
    return dead_mans_switch.watch().value


@unless_read_only
def tend_alerts() -> tuple[int, int]:
    """Write receipts, end alerts whose end nobody told, make those loud again that nobody has in hand any more."""
    receipts.read()
    return alert_expiry.end_unheard(), acknowledgements.end_run_out()


@unless_read_only
def drill_alerts() -> str:
    """The weekly alert drill, unless PORTAL_DRILLS is off."""
    held = drills.hold_scheduled(actor=system_actor("schedule")) if settings.DRILLS else None
    return "not held" if held is None else "passed" if held.passed else "failed"

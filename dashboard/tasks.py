"""What django-q2 runs for the status side: entry points that call one service."""

from django.conf import settings
from django.utils import timezone

from alerting import (
    acknowledgements,
    alert_expiry,
    assignments,
    dead_mans_switch,
    drills,
    maintenance,
    receipts,
    silenced,
)
from dashboard.services import heartbeats, probing, samples
from dashboard.validation import running as validating
from deployments.core import queueing
from deployments.core.actors import system_actor
from deployments.core.read_only import unless_read_only
from deployments.storage import tidying
from engine.errors import Conflict


@unless_read_only
def watch_monitoring() -> str:
    """Notice when Prometheus and Alertmanager have gone quiet."""
    return dead_mans_switch.watch(looking_since=queueing.running_since("watch") or timezone.now()).value


@unless_read_only
def note_silences() -> int:
    """Count the minutes in which bots say nothing."""
    return heartbeats.note_silences()


@unless_read_only
def probe() -> int:
    """Ask services that do not speak for themselves how they are."""
    return probing.probe_services()


@unless_read_only
def validate() -> int:
    """Read the bots of running validations."""
    return validating.tick()


@unless_read_only
def tend_alerts() -> tuple[int, int]:
    """Write receipts, see to maintenance, end alerts whose end nobody told, make those loud again that nobody has in
    hand any more, take them from people who may do nothing about them any more, and note what is silenced."""
    receipts.read()
    maintenance.tend()
    silenced.mark()
    assignments.end_of_absent()
    return alert_expiry.end_unheard(), acknowledgements.end_run_out() + acknowledgements.end_of_absent()


@unless_read_only
def tidy() -> str:
    """Let go of what nothing needs any more, every day."""
    samples.prune(timezone.now())
    try:
        done = tidying.tidy(actor=system_actor("schedule"))
    except Conflict as error:  # a backup is being made: the next night will do
        return str(error)
    return f"{len(done.releases)} artifacts, {done.bytes} bytes"


@unless_read_only
def drill_alerts() -> str:
    """The weekly alert drill, unless PORTAL_DRILLS is off."""
    held = drills.hold_scheduled(actor=system_actor("schedule")) if settings.DRILLS else None
    return "not held" if held is None else "passed" if held.passed else "failed"

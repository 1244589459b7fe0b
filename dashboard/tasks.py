"""What django-q2 runs for the status side: entry points that call one service."""

from dashboard.services import acknowledgements, pulse


def watch_monitoring() -> str:
    """Notice when Prometheus and Alertmanager have gone quiet."""
    return pulse.watch().value


def end_acknowledgements() -> int:
    """Make alerts loud again that nobody has in hand any more."""
    return acknowledgements.end_run_out()

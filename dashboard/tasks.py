"""What django-q2 runs for the status side: entry points that call one service."""

from dashboard.services import acknowledgements, pulse, reconciling


def watch_monitoring() -> str:
    """Notice when Prometheus and Alertmanager have gone quiet."""
    return pulse.watch().value


def tend_alerts() -> tuple[int, int]:
    """End alerts whose end nobody told, and make those loud again that nobody has in hand any more."""
    return reconciling.end_unheard(), acknowledgements.end_run_out()

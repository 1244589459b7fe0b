"""What django-q2 runs for the status side: entry points that call one service."""

from dashboard.services import pulse


def watch_monitoring() -> str:
    """Notice when Prometheus and Alertmanager have gone quiet."""
    return pulse.watch().value

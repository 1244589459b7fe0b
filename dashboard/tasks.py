"""What django-q2 runs for the status side: entry points that call one service."""

from dashboard.services import acknowledgements, pulse, reconciling
from deployments.services.standing import while_in_charge


@while_in_charge
def watch_monitoring() -> str:
    """Notice when Prometheus and Alertmanager have gone quiet."""
    return pulse.watch().value


@while_in_charge
def tend_alerts() -> tuple[int, int]:
    """End alerts whose end nobody told, and make those loud again that nobody has in hand any more."""
    return reconciling.end_unheard(), acknowledgements.end_run_out()

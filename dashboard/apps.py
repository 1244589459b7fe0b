"""App configuration of the status side."""

from django.apps import AppConfig


class DashboardConfig(AppConfig):
    """Bot status, heartbeats, alerts, the health proxy and live pages."""

    name = "dashboard"
    verbose_name = "Dashboard"

    def ready(self) -> None:
        """Register its system check, and tell the control room how to learn whether a service runs."""
        from dashboard import checks
        from dashboard.selectors.bot_status import runs
        from deployments.operations import selectors

        checks.register()
        selectors.ask_too(runs)

"""App configuration of the status side."""

from django.apps import AppConfig


class DashboardConfig(AppConfig):
    """Bot status, heartbeats, alerts, the health proxy and live pages."""

    name = "dashboard"
    verbose_name = "Dashboard"

    def ready(self) -> None:
        """Register its system check."""
        from dashboard import checks

        checks.register()

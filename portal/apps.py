"""App configuration of the project itself."""

from django.apps import AppConfig


class PortalConfig(AppConfig):
    """The one API mount, the admin site and the housekeeping of the portal."""

    name = "portal"

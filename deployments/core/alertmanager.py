"""The Alertmanager that this portal is configured for."""

from django.conf import settings

from engine.alertmanager import Alertmanager


def alertmanager() -> Alertmanager:
    """The client for ALERTMANAGER_URL, as the setting is now."""
    return Alertmanager(settings.ALERTMANAGER_URL)

"""Which clusters of workers live, on which machine of the portal."""

from django.contrib import admin
from django.utils import timezone

from deployments.access.verbs import Verb
from deployments.admin import labels
from deployments.admin.base import PortalAdmin
from deployments.core import beats
from deployments.models import ClusterBeat


@admin.register(ClusterBeat)
class ClusterBeatAdmin(PortalAdmin[ClusterBeat]):
    """For those who run the portal, as its queue is."""

    view_verb = Verb.CONFIGURE
    list_display = ("cluster", "machine", "when", "state")
    fields = ("cluster", "machine", "at")

    @admin.display(description="Last heard", ordering="at")
    def when(self, obj: ClusterBeat) -> str:
        """How long ago."""
        return labels.moment(obj.at)

    @admin.display(description="State")
    def state(self, obj: ClusterBeat) -> str:
        """As the alert and the watchdog judge it."""
        silent = timezone.now() - obj.at > beats.SILENT_AFTER
        return labels.status("failed", "Silent") if silent else labels.status("succeeded", "Works")

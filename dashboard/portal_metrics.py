"""Metrics about the portal itself: its disk, its age, and when it last heard from those who watch."""

import shutil
from collections.abc import Iterator
from datetime import datetime

from django.conf import settings
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from alerting import dead_mans_switch
from deployments.notifications import messages


class PortalStateCollector(Collector):
    """Read at every scrape; three queries."""

    def collect(self) -> Iterator[Metric]:
        """Disk, installation, notifications, dead man's switch."""
        disk = shutil.disk_usage(settings.STATE_DIR)
        yield GaugeMetricFamily("portal_disk_free_bytes", "Room left for the portal's state.", value=disk.free)
        yield GaugeMetricFamily("portal_disk_size_bytes", "Size of that file system.", value=disk.total)
        notifications = GaugeMetricFamily(
            "portal_notifications", "Messages to notification channels, by what became of them.", labels=["state"]
        )
        for state, count in messages.counts().items():
            notifications.add_metric([state], count)
        yield notifications
        if (installed := installed_at()) is not None:
            yield GaugeMetricFamily(
                "portal_installed_timestamp_seconds", "When the portal was set up.", value=installed.timestamp()
            )
        if (heard := dead_mans_switch.last_heard()) is not None:
            yield GaugeMetricFamily(
                "portal_dead_mans_switch_timestamp_seconds",
                "When the dead man's switch was last delivered.",
                value=heard.timestamp(),
            )


def installed_at() -> datetime | None:
    """When the first migration ran; None in a database that was filled in another way."""
    first = MigrationRecorder(connection).migration_qs.order_by("applied").first()
    applied: datetime | None = first.applied if first else None
    return applied

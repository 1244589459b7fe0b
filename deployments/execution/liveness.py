"""Whether a cluster still does its work: one whose idle workers were killed looks alive and never runs a task again.

`portal.run.Watchdog` asks this every few seconds, from outside the cluster, and starts a stalled one again.
"""

from datetime import datetime

from django.utils import timezone

from deployments.core import beats


def stalled(cluster: str, *, since: datetime) -> str | None:
    """Why this machine's cluster has to be started again; None when it is well, or at work.

    Silence counts from `since`: when it was started, or when the database came back, without which nobody is heard.
    What the same cluster does on another machine says nothing about this one's.
    """
    heard = max(since, beats.last(cluster) or since)
    silence = timezone.now() - heard
    if silence > beats.SILENT_AFTER:
        return f"none of its workers has done a task for {silence.total_seconds():.0f} s"
    return None

"""Whether a cluster still does its work: one whose idle workers were killed looks alive and never runs a task again.

`portal.run` asks this every few seconds, from outside the cluster, and starts a stalled one again.
"""

from datetime import datetime

from django.utils import timezone

from deployments.core import queueing
from deployments.models import Deployment

BEAT_SECONDS = 180.0
"""Without a heartbeat task done for so long a cluster is stalled: one is due every minute, and looked at every 30 s."""
HOUSEKEEPING_SECONDS = 1200.0
"""The same for housekeeping, whose one worker may be busy with slow notifications up to a task's limit of 900 s."""
QUEUED_SECONDS = 120.0
"""How long a task may wait without any worker's cluster having taken it."""


def stalled(cluster: str, *, since: datetime) -> str | None:
    """Why a cluster that was started at `since` has to be started again; None when it is well, or at work.

    Work that is under way is never cut off: a deployment whose lease is being renewed proves that its worker lives.
    """
    now = timezone.now()
    if cluster != queueing.DEFAULT and Deployment.objects.executing().filter(lease_until__gt=now).exists():
        return None
    limit = HOUSEKEEPING_SECONDS if cluster == queueing.DEFAULT else BEAT_SECONDS
    beat = max(since, queueing.last_beat(cluster) or since)
    silent = (now - beat).total_seconds()
    if silent > limit:
        return f"none of its workers has done a task for {silent:.0f} s"
    up = (now - since).total_seconds()
    waited = min(up, queueing.oldest_queued_seconds(cluster))
    if waited > QUEUED_SECONDS and limit == BEAT_SECONDS:
        return f"a task has been waiting for {waited:.0f} s"
    return None

"""The one module that knows django-q2: tasks carry an id, and are enqueued in the transaction of their decision."""

from datetime import timedelta

from django.utils import timezone
from django_q.models import OrmQ, Schedule
from django_q.tasks import async_task

DEPLOYS, RESCUE, DEFAULT = "deploys", "rescue", "default"
EXECUTE = "deployments.tasks.execute"
CLUSTERS = (DEPLOYS, RESCUE, DEFAULT)

SCHEDULES: dict[str, tuple[str, str, int]] = {
    # name: (task, cluster, minutes)
    "reap": ("deployments.tasks.reap", RESCUE, 1),
    "expire": ("deployments.tasks.expire_requests", DEFAULT, 1),
    "deliver": ("deployments.tasks.deliver_notifications", DEFAULT, 1),
}


def enqueue_execution(deployment_id: int, *, rescue: bool) -> None:
    """Queue the execution of a deployment; a rollback goes to `rescue` so that it never waits behind a deployment.

    The row is written with the caller's transaction (ORM broker): rolled back together, visible together.
    """
    async_task(EXECUTE, deployment_id, cluster=RESCUE if rescue else DEPLOYS)


def execution_waits(deployment_id: int) -> bool:
    """Whether a task for this deployment lies in the queue where a worker will find it now."""
    return any(
        row.task.get("func") == EXECUTE and tuple(row.task.get("args", ())) == (deployment_id,)
        for row in OrmQ.objects.filter(lock__lte=timezone.now())
    )


def enqueue_cancellation(deployment_id: int) -> None:
    """Queue ending the remote work of a running deployment."""
    async_task("deployments.tasks.cancel_remote", deployment_id, cluster=RESCUE)


def enqueue_delivery() -> None:
    """Queue sending the notifications that wait."""
    async_task("deployments.tasks.deliver_notifications", cluster=DEFAULT)


def oldest_queued_seconds() -> float:
    """Age in seconds of the oldest task that no worker has taken; 0.0 with an empty queue."""
    oldest: float = 0.0
    now = timezone.now()
    for row in OrmQ.objects.filter(lock__lte=now).only("lock").order_by("lock")[:1]:
        if row.lock is not None:
            oldest = max(0.0, (now - row.lock).total_seconds())
    return oldest


def ensure_schedules(**_signal: object) -> None:
    """Make the schedules exist; run after every migration, changes nothing when they do."""
    for name, (task, cluster, minutes) in SCHEDULES.items():
        Schedule.objects.get_or_create(
            name=name,
            defaults={
                "func": task,
                "cluster": cluster,
                "schedule_type": Schedule.MINUTES,
                "minutes": minutes,
                "repeats": -1,
                "next_run": timezone.now() + timedelta(seconds=10),
            },
        )

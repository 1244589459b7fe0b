"""The one module that knows django-q2: tasks carry an id, and are enqueued in the transaction of their decision."""

import functools
import importlib
import re
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

from django.db import transaction
from django.db.models.signals import post_save
from django.utils import timezone
from django_q import signals, worker
from django_q.brokers.orm import ORM
from django_q.conf import Conf
from django_q.models import OrmQ, Schedule, Task
from django_q.tasks import async_task

from deployments.core import beats
from deployments.models import Deployment
from deployments.snapshot import ROUND_SECONDS

DEPLOYS, RESCUE, DEFAULT = "deploys", "rescue", "default"
EXECUTE, CANCEL, SETTLE = "deployments.tasks.execute", "deployments.tasks.cancel_remote", "deployments.tasks.settle"
CLUSTERS = (DEPLOYS, RESCUE, DEFAULT)
BEAT = "deployments.tasks.beat"

_TASK = re.compile(r"((?:deployments|dashboard)\.tasks)\.([a-z][a-z_]*)")

ASKED_AFTER = timedelta(seconds=75)
"""How long a machine's cluster may be silent before it gets a heartbeat task of its own."""
LOOKED_AT, BREAK = 20, timedelta(seconds=150)
"""Runs of a schedule's task that are looked at, and how far apart two of them lie where the workers were off."""
KEPT_FAILURES = 1000
"""Tasks that failed and are kept: as many as of those that succeeded (`save_limit`)."""
LONG_SECONDS = 600
"""What takes longer holds no worker that somebody's way back may need."""
CONCLUDING_SECONDS = 300
"""What reverting and writing down how a deployment ended may take beside its rounds."""

DAY = 24 * 60  # minutes; a schedule has room for 22 days (a smallint on PostgreSQL)

SCHEDULES: dict[str, tuple[str, str, int]] = {
    # name: (task, cluster, minutes)
    "reap": ("deployments.tasks.reap", RESCUE, 1),
    "expire": ("deployments.tasks.expire_requests", DEFAULT, 1),
    "sessions": ("deployments.tasks.forget_sessions", DEFAULT, 5),
    "deliver": ("deployments.tasks.deliver_notifications", DEFAULT, 1),
    "watch": ("dashboard.tasks.watch_monitoring", DEFAULT, 1),
    "probe": ("dashboard.tasks.probe", DEFAULT, 1),
    "validate": ("dashboard.tasks.validate", DEFAULT, 1),
    "silences": ("dashboard.tasks.note_silences", DEFAULT, 1),
    "alerts": ("dashboard.tasks.tend_alerts", DEFAULT, 1),
    "drift": ("deployments.tasks.find_drift", DEFAULT, 60),
    # among the deployments' two workers: what takes minutes must not hold housekeeping or a rescue up
    "tidy": ("dashboard.tasks.tidy", DEPLOYS, DAY),
    "verify-trail": ("deployments.tasks.verify_trail", DEPLOYS, DAY),
    "drill-alerts": ("dashboard.tasks.drill_alerts", DEPLOYS, 7 * DAY),
    "drill-rollback": ("deployments.tasks.drill_rollback", DEPLOYS, 21 * DAY),
    # of several machines one alone gets each of these: see `ask_to_beat`
    **{f"beat-{cluster}": (BEAT, cluster, 1) for cluster in CLUSTERS},
}


def enqueue_execution(deployment_id: int, *, rescue: bool, after: float = 0.0) -> None:
    """Queue the execution of a deployment; a rollback goes to `rescue` so that it never waits behind a deployment.
    No worker takes it before `after` seconds.

    The row is written with the caller's transaction (ORM broker): rolled back together, visible together.
    """
    cluster = RESCUE if rescue else DEPLOYS
    later = {"broker": _Later(cluster, after)} if after else {}
    async_task(EXECUTE, deployment_id, cluster=cluster, timeout=_execution_seconds(deployment_id), **later)


def _execution_seconds(deployment_id: int) -> int:
    """When a worker that executes it is given up: each round of its servers has its time, and so has the end."""
    row = Deployment.objects.filter(pk=deployment_id).first()
    return ROUND_SECONDS * (len(row.sealed.rounds) if row else 1) + CONCLUDING_SECONDS


def waits(task: str, deployment_id: int) -> bool:
    """Whether this task for this deployment lies in the queue where a worker will find it now."""
    return any(
        row.task.get("func") == task and tuple(row.task.get("args", ())) == (deployment_id,)
        for row in OrmQ.objects.filter(lock__lte=timezone.now())
    )


def enqueue_cancellation(deployment_id: int) -> None:
    """Queue ending the remote work of a running deployment, unless that waits already."""
    if not waits(CANCEL, deployment_id):
        async_task(CANCEL, deployment_id, cluster=RESCUE)


def enqueue_settling(deployment_id: int) -> None:
    """Queue asking a deployment's servers how it ended, unless that waits already."""
    if not waits(SETTLE, deployment_id):
        async_task(SETTLE, deployment_id, cluster=RESCUE)


def enqueue_inspection(environment_id: int) -> None:
    """Queue comparing an environment's servers with their records, so that their readiness is as of now."""
    async_task("deployments.tasks.inspect_environment", environment_id, cluster=DEFAULT)


def enqueue_validation() -> None:
    """Queue reading the bots of running validations now, and not only when the minute is over."""
    async_task(SCHEDULES["validate"][0], cluster=DEFAULT)


def enqueue_operation(operation_id: int, *, seconds: float = 0) -> None:
    """Queue carrying an operation out, where nothing waits behind a deployment; what takes very long waits there."""
    task = "deployments.tasks.operate"
    if seconds > LONG_SECONDS:
        async_task(task, operation_id, cluster=DEPLOYS, timeout=int(seconds) + CONCLUDING_SECONDS)
    else:
        async_task(task, operation_id, cluster=RESCUE)


def enqueue_build(push_id: int, *, after: float = 0.0) -> None:
    """Queue building what was pushed, in `after` seconds; it takes minutes, so it waits among deployments."""
    async_task("deployments.tasks.build_push", push_id, cluster=DEPLOYS, broker=_Later(DEPLOYS, after))


def enqueue_watch(deployment_id: int, *, after: float) -> None:
    """Queue asking a deployment's servers about their units in `after` seconds; no worker waits for that."""
    async_task("deployments.tasks.watch", deployment_id, cluster=DEFAULT, broker=_Later(DEFAULT, after))


class Queue(ORM):  # type: ignore[misc]  # django-q2 has no types
    """The queue as a cluster reads it: its own tasks, and those that are for it on this machine alone."""

    def dequeue(self) -> list[tuple[int, str]] | None:
        """Take a task from others, or wait for the next look."""
        keys = (self.list_key, _here(self.list_key))
        rows = list(self.get_connection().filter(key__in=keys, lock__lt=timezone.now())[: Conf.BULK])
        if not rows:
            time.sleep(Conf.POLL)
            return None
        return [(row.pk, row.payload) for row in rows if self._taken(row)]

    def _taken(self, row: OrmQ) -> bool:
        return bool(self.get_connection().filter(pk=row.pk, lock=row.lock).update(lock=self.timeout(row)))


def _here(cluster: str) -> str:
    """The key of tasks that only this machine's cluster takes."""
    return f"{cluster}@{beats.machine()}"


def ask_to_beat(cluster: str) -> None:
    """Give this machine's cluster a heartbeat task that no other takes, when others may have done all that came."""
    heard = beats.last(cluster)
    if heard is not None and timezone.now() - heard < ASKED_AFTER:
        return
    with transaction.atomic():
        OrmQ.objects.filter(key=_here(cluster)).delete()
        async_task(BEAT, cluster=_here(cluster), save=False)


def sign_off() -> None:
    """This machine's clusters have ended in order: nobody misses them, and nothing is left for them alone."""
    OrmQ.objects.filter(key__endswith=_here("")).delete()
    beats.sign_off()


def beat() -> None:
    """The cluster whose worker this process is takes tasks; what says nothing any more is forgotten."""
    beats.beat(Conf.CLUSTER_NAME)
    beats.forget_gone()
    forget_old_beats()
    OrmQ.objects.filter(key__contains="@", lock__lt=timezone.now() - beats.KEPT).delete()


class _Later(ORM):  # type: ignore[misc]  # django-q2 has no types
    """The queue, for a task that is due after some seconds: workers take a row when its `lock` has passed."""

    def __init__(self, list_key: str, seconds: float) -> None:
        super().__init__(list_key)
        self._seconds = seconds

    def enqueue(self, task: str) -> int:
        """Write the row, in the caller's transaction; its number."""
        due = timezone.now() + timedelta(seconds=self._seconds)
        return int(self.get_connection().create(key=self.list_key, payload=task, lock=due).pk)


def enqueue_delivery() -> None:
    """Queue sending the notifications that wait."""
    async_task("deployments.tasks.deliver_notifications", cluster=DEFAULT)


def task_named(name: str) -> Callable[..., Any] | None:
    """The function that one of our modules of tasks defines by this name; None for every other name."""
    match = _TASK.fullmatch(name)
    if match is None:
        return None
    found = getattr(importlib.import_module(match[1]), match[2], None)
    return found if callable(found) and getattr(found, "__module__", "") == match[1] else None


def _work(name: str) -> Callable[..., Any] | None:
    """What a worker runs under this name: the task, and while it lasts the cluster is heard."""
    if (task := task_named(name)) is None:
        return None

    @functools.wraps(task)
    def at_work(*args: Any, **kwargs: Any) -> Any:
        with beats.while_at_work(Conf.CLUSTER_NAME):
            return task(*args, **kwargs)

    return at_work


def confine(warm_up: Callable[..., None]) -> None:
    """Have workers look tasks up here, and call no hooks: whoever writes the schedule's rows runs nothing else.

    A new worker calls `warm_up` before it takes its first task.
    """
    worker.pydoc = SimpleNamespace(locate=_work)
    post_save.disconnect(signals.call_hook, sender=Task)
    signals.post_spawn.connect(warm_up, dispatch_uid="warm-up")


def oldest_queued_seconds() -> float:
    """Age in seconds of the oldest task that no worker has taken; 0.0 with an empty queue.

    What is for one machine alone proves only whether that one's cluster lives, and `beats` says so.
    """
    oldest: float = 0.0
    now = timezone.now()
    rows = OrmQ.objects.filter(lock__lte=now).exclude(key__contains="@")
    for row in rows.only("lock").order_by("lock")[:1]:
        if row.lock is not None:
            oldest = max(0.0, (now - row.lock).total_seconds())
    return oldest


def last_beat(cluster: str) -> datetime | None:
    """When a worker of this cluster last did its heartbeat task; None when none ever has."""
    found: datetime | None = (
        Task.objects.filter(group=f"beat-{cluster}", success=True)
        .order_by("-stopped")
        .values_list("stopped", flat=True)
        .first()
    )
    return found


def running_since(schedule: str) -> datetime | None:
    """Since when a schedule's task is run every minute without a break; None when it was not run lately."""
    since, before = None, timezone.now()
    for at in Task.objects.filter(group=schedule).order_by("-stopped").values_list("stopped", flat=True)[:LOOKED_AT]:
        if before - at > BREAK:
            break
        since = before = at
    return since


def forget_old_beats() -> None:
    """Keep the history of the queue for what matters: of heartbeats only the last ones."""
    for cluster in CLUSTERS:
        if last := last_beat(cluster):
            Task.objects.filter(group=f"beat-{cluster}", stopped__lt=last).delete()


def old_failures() -> list[str]:
    """The keys of tasks that failed, beyond the newest KEPT_FAILURES: django-q2 keeps all of them."""
    rows = Task.objects.filter(success=False).order_by("-stopped", "-id")
    return list(rows.values_list("id", flat=True)[KEPT_FAILURES:])


def forget_failures(keys: list[str]) -> None:
    """Delete these tasks' results."""
    for start in range(0, len(keys), 500):
        Task.objects.filter(id__in=keys[start : start + 500]).delete()


def ensure_schedules(**_signal: object) -> None:
    """Make the schedules as they are written here; run after every migration. When each comes next stays."""
    now = timezone.now()
    for name, (task, cluster, minutes) in SCHEDULES.items():
        # a rehearsal interrupts somebody: the first comes when it is due, not when the portal was set up
        first = now + (timedelta(minutes=minutes) if minutes >= DAY else timedelta(seconds=10))
        written = {"func": task, "cluster": cluster, "schedule_type": Schedule.MINUTES, "minutes": minutes}
        row, _ = Schedule.objects.update_or_create(
            name=name, defaults=written, create_defaults={**written, "repeats": -1, "next_run": first}
        )
        if row.next_run > now + timedelta(minutes=minutes):
            Schedule.objects.filter(pk=row.pk).update(next_run=now + timedelta(minutes=minutes))

"""The reaper: settles deployments whose worker died, and queues again what a dead cluster had taken."""

import logging
from datetime import datetime, timedelta
from functools import partial

from django.db import IntegrityError, transaction
from django.db.models import Max, Q
from django.utils import timezone

from deployments.core import queueing
from deployments.core.actors import system_actor
from deployments.core.row_locks import locked_environment
from deployments.execution.claims import Claimed, hand_over, take_over, take_up
from deployments.execution.finish import end_target, finish
from deployments.execution.host_inquiry import Unsettled, settle_target
from deployments.execution.recorder import Recorder
from deployments.execution.side_by_side import side_by_side
from deployments.execution.verdict import conclude
from deployments.lifecycle import EXECUTING, Kind, Status, TargetStatus
from deployments.models import Deployment, Target
from deployments.requests.waiting_rollbacks import queue_waiting_rollback

logger = logging.getLogger(__name__)

GIVE_UP = timedelta(minutes=30)
"""After this long without an answer from a server the deployment is called interrupted; the reaper keeps asking."""
KEEP_ASKING = timedelta(days=30)
"""How long the servers of an interrupted deployment are asked how it had ended."""
QUEUED_TOO_LONG = timedelta(seconds=20)
UNREACHABLE = "host_unreachable"


def reap(*, timeout: float = 0.0) -> list[int]:
    """Settle every deployment whose lease has run out; returns their numbers. Safe to run at any time, in parallel.

    A server that still works on one is asked again for `timeout` seconds.

    Also: queue again what nobody has, repeat cancellations, promote rollbacks whose deployment is gone, and complete
    interrupted deployments whose servers answer again.
    """
    settled = [deployment.pk for deployment in _stale() if settle(deployment, timeout=timeout)]
    _call_again()
    return settled + [deployment.pk for deployment in _interrupted() if _complete(deployment)]


def call_for_settling() -> list[int]:
    """As `reap`, without waiting for any server: a task of its own asks for each deployment; returns their numbers."""
    _call_again()
    called = [deployment.pk for deployment in _stale() + _interrupted()]
    for number in called:
        queueing.enqueue_settling(number)
    return called


def look_after(deployment_id: int) -> bool:
    """Settle or complete one deployment, if that is still called for; True when it is done."""
    if any(stale.pk == deployment_id and settle(stale) for stale in _stale()):
        _promote_stranded()
        return True
    return any(row.pk == deployment_id and _complete(row) for row in _interrupted())


def _call_again() -> None:
    _queue_again()
    _cancel_again()
    _promote_stranded()


def settle(deployment: Deployment, *, timeout: float = 0.0) -> bool:
    """Settle one deployment whose lease has run out; False when somebody has it, or its server does not answer yet."""
    claimed = take_over(deployment)
    if claimed is None:
        return False
    ended = False
    try:
        with Recorder(deployment, claimed.token) as recorder:
            ended = _ask_and_conclude(claimed, recorder, timeout)
    except Exception as error:  # one deployment that cannot be settled must not keep the others waiting
        logger.exception("deployment %s could not be settled", deployment.pk)
        ended = _overdue(deployment, timezone.now()) and _end_unsettled(claimed, error)
    finally:
        if not ended:
            hand_over(claimed)
    return ended


def _ask_and_conclude(claimed: Claimed, recorder: Recorder, timeout: float) -> bool:
    deployment = claimed.deployment
    # who cancels, or waits with a rollback, shall not wait half an hour for a server that is off
    giving_up = bool(deployment.cancel_requested_by) or _overdue(deployment, timezone.now())
    unsettled: list[Unsettled] = []

    def ask(target: Target) -> None:
        try:
            settle_target(claimed, target, recorder, timeout=timeout)
        except Unsettled as why:
            if giving_up and not why.working:
                _give_up(claimed, target, recorder, why)
            else:
                logger.info("deployment %s: %s", deployment.pk, why)
                unsettled.append(why)

    running = deployment.targets.select_related("server").filter(status=TargetStatus.RUNNING)
    side_by_side([partial(ask, target) for target in running])
    return not unsettled and conclude(
        actor=system_actor("reaper"),
        claimed=claimed,
        recorder=recorder,
        timeout=0,
        giving_up=giving_up,
    )


def _give_up(claimed: Claimed, target: Target, recorder: Recorder, why: Unsettled) -> None:
    end_target(
        target,
        TargetStatus.INTERRUPTED,
        claim=claimed.token,
        outcome=UNREACHABLE,
        facts=target.facts,
        sentence=f"{target.server.name} could not be asked how it ended: {recorder.mask(str(why))} Its agent reverts "
        "by itself at its deadline, and this record is completed when the server answers.",
    )


def _overdue(deployment: Deployment, now: datetime) -> bool:
    """Counted from the last server that was begun: a fleet may take hours."""
    begun = deployment.targets.aggregate(last=Max("started_at"))["last"] or deployment.started_at
    return begun is None or now - begun > GIVE_UP


def _end_unsettled(claimed: Claimed, error: Exception) -> bool:
    return finish(
        actor=system_actor("reaper"),
        deployment=claimed.deployment,
        status=Status.INTERRUPTED,
        outcome="not_settled",
        sentence=f"The portal could not find out how it ended ({type(error).__name__}; its log says more). Compare the "
        "servers with `manage.py drift`, and then roll back or deploy again.",
        claim=claimed.token,
    )


def _complete(deployment: Deployment) -> bool:
    """Ask the servers of an interrupted deployment again; True when its record could be completed."""
    claimed = take_up(deployment)
    if claimed is None:
        return False
    try:
        with Recorder(deployment, claimed.token) as recorder:
            for target in deployment.targets.select_related("server").filter(
                status=TargetStatus.INTERRUPTED, outcome=UNREACHABLE
            ):
                settle_target(claimed, target, recorder, timeout=0)
            concluded = conclude(
                actor=system_actor("reaper"),
                claimed=claimed,
                recorder=recorder,
                timeout=0,
                late=True,
            )
    except Unsettled as why:
        logger.info("deployment %s: %s", deployment.pk, why)
        return False
    except Exception:
        logger.exception("deployment %s could not be completed", deployment.pk)
        return False
    deployment.refresh_from_db()
    return concluded and deployment.status != Status.INTERRUPTED


def _stale() -> list[Deployment]:
    """Those of protected environments first: asking another's servers may take long."""
    rows = Deployment.objects.executing().filter(lease_until__lte=timezone.now())
    return list(rows.select_related("environment", "release").order_by("-environment__approvals_required", "pk"))


def _interrupted() -> list[Deployment]:
    """Interrupted because a server could not be asked, and nothing has been deployed there since."""
    rows = Deployment.objects.filter(
        status=Status.INTERRUPTED, outcome=UNREACHABLE, finished_at__gt=timezone.now() - KEEP_ASKING
    )
    return [row for row in rows.select_related("environment", "release") if not _followed(row)]


def _followed(deployment: Deployment) -> bool:
    later = Deployment.objects.filter(environment=deployment.environment).exclude(pk=deployment.pk)
    return later.filter(Q(fence__gt=deployment.fence) | Q(status__in=EXECUTING)).exists()


def _queue_again() -> None:
    """A task that a killed cluster had taken comes back after an hour only; its row says that nobody has it."""
    now = timezone.now()
    for lost in Deployment.objects.filter(status=Status.QUEUED, queued_at__lte=now - QUEUED_TOO_LONG):
        if not queueing.waits(queueing.EXECUTE, lost.pk):
            queueing.enqueue_execution(lost.pk, rescue=lost.kind == Kind.ROLLBACK)


def _cancel_again() -> None:
    """A cancellation that did not reach its server, or whose worker died, is tried again."""
    for running in (
        Deployment.objects.executing().exclude(cancel_requested_by="").filter(lease_until__gt=timezone.now())
    ):
        queueing.enqueue_cancellation(running.pk)


def _promote_stranded() -> None:
    """A rollback waits for a deployment that ended unnoticed."""
    waiting = Deployment.objects.filter(kind=Kind.ROLLBACK, status=Status.AWAITING_APPROVAL)
    for rollback in waiting.select_related("environment"):
        if not Deployment.objects.active().filter(environment=rollback.environment).exists():
            try:
                with transaction.atomic():
                    locked_environment(rollback.environment_id)
                    queue_waiting_rollback(rollback)
            except IntegrityError:
                logger.info("rollback %s: something else has begun; it waits for that", rollback.pk)

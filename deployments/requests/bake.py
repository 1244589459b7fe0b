"""Watching after success: a new critical alert or a crash while a deployment bakes rolls it back, or pauses."""

from datetime import datetime

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from deployments.audit import trail
from deployments.core.actors import Actor
from deployments.core.texts import LIMIT, one_line
from deployments.lifecycle import Kind, Status
from deployments.models import Deployment, Environment
from deployments.notifications.messages import notify_environment
from deployments.requests.rollbacks import request_rollback
from engine.errors import PortalError

CRITICAL = "critical"


def report_alert(
    *, actor: Actor, environment: Environment, name: str, severity: str, began_at: datetime, summary: str
) -> Deployment | None:
    """Hear of a firing alert; returns the rollback it caused, if any. Holds no worker: it is called when alerts arrive.

    Only a critical alert counts, and only one that began after the deployment that bakes had started: what was firing
    before is not its doing.
    """
    baking = baking_deployment(environment)
    if severity != CRITICAL or baking is None or baking.started_at is None or began_at < baking.started_at:
        return None
    reason = f"{name} began to fire while deployment {baking.pk} was baking: {summary}"
    return _take_back(actor, environment, baking, reason)


def report_crash(*, actor: Actor, deployment: Deployment, server: str, sentence: str) -> Deployment | None:
    """Hear that a unit of `deployment` crashed after its success; returns the rollback it caused, if any.

    While it bakes this counts like a critical alert. Afterwards, and for rollbacks, people are told and that is all.
    """
    environment = deployment.environment
    baking = baking_deployment(environment)
    reason = f"{server}: {sentence}"
    if baking is not None and baking.pk == deployment.pk:
        return _take_back(actor, environment, baking, f"{reason} Deployment {baking.pk} was baking.")
    with transaction.atomic():
        trail.record(
            actor=actor,
            name=f"{deployment.kind}.crashed",
            subject=f"deployment:{deployment.pk}",
            environment=environment,
            data={"server": server, "sentence": sentence},
        )
        notify_environment(
            environment,
            "failed",
            what=f"{deployment.release} crashed on {server} after deployment {deployment.pk} had succeeded",
            lines=[sentence, "Nothing was done about it: deploy or roll back."],
        )
    return None


def _take_back(actor: Actor, environment: Environment, baking: Deployment, reason: str) -> Deployment | None:
    if not _end_bake(baking):
        return None  # the same news came twice at once, and the other one acts
    reason = one_line(reason)[:LIMIT]
    if (baking.sealed.policy.bake_action or environment.bake_action) == Environment.BakeAction.PAUSE:
        _pause(actor, environment, baking, reason)
        return None
    try:
        return request_rollback(actor=actor, environment=environment, reason=reason)
    except PortalError as error:
        said = f"{reason.rstrip('.')}. It could not be rolled back: {error.message}"
        _pause(actor, environment, baking, said[:LIMIT])
        return None


def baking_deployment(environment: Environment) -> Deployment | None:
    """The last success there, if it is still being watched and nothing else is going on."""
    last = (
        Deployment.objects.filter(environment=environment, status=Status.SUCCEEDED)
        .order_by("-finished_at", "-id")
        .first()
    )
    if last is None or last.kind != Kind.DEPLOYMENT or last.bake_until is None or last.bake_until <= timezone.now():
        return None
    return None if Deployment.objects.active().filter(environment=environment).exists() else last


def _end_bake(deployment: Deployment) -> bool:
    """Stop watching; False when somebody else has, so that one alert is acted on once."""
    now = timezone.now()
    return bool(Deployment.objects.filter(pk=deployment.pk, bake_until__gt=now).update(bake_until=now))


def _pause(actor: Actor, environment: Environment, baking: Deployment, reason: str) -> None:
    with transaction.atomic():
        # a lock that ends by itself would let go on what somebody has to look at first
        free = Environment.objects.filter(Q(locked_at=None) | Q(lock_until__isnull=False), pk=environment.pk)
        if free.update(locked_at=timezone.now(), locked_by=str(actor), lock_reason=reason.rstrip("."), lock_until=None):
            trail.record(
                actor=actor,
                name="environment.locked",
                subject=f"environment:{environment}",
                environment=environment,
                data={"reason": reason, "deployment": baking.pk},
            )
            notify_environment(
                environment,
                "locked",
                what="locked while a deployment was baking",
                lines=[reason, "Rollbacks are possible; unlock it when the cause is known."],
            )

"""Requesting, following, cancelling and deciding about deployments."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from django.http import HttpRequest
from ninja import Path, Query, Router, Schema
from ninja import Status as HttpStatus
from pydantic import Field

from deployments.access.policy import require
from deployments.access.verbs import Verb
from deployments.api.record_schemas import LogLineOut, LogOut
from deployments.api.schemas import (
    DecisionIn,
    DeploymentDetail,
    DeploymentIn,
    DeploymentOut,
    DeploymentPage,
    RollbackIn,
)
from deployments.core import selectors
from deployments.core.actors import Actor
from deployments.core.texts import one_line
from deployments.http.auth import BearerToken, actor_of, reader
from deployments.http.idempotency import HEADER, once
from deployments.http.limits import READS, WRITES
from deployments.http.paging import EnvironmentName, Number, Paging, page_of
from deployments.http.problems import answers
from deployments.lifecycle import Kind, Status
from deployments.models import Approval, Deployment, Environment, LogLine, Release
from deployments.requests.approvals import approve, reject
from deployments.requests.cancellation import cancel
from deployments.requests.choices import choose_release, promoted_release
from deployments.requests.requests import request_deployment
from deployments.requests.rollbacks import request_rollback
from engine.errors import InvalidRequest

router = Router(tags=["Deployments"], auth=BearerToken())

LONGEST_WAIT = 10.0  # seconds
_POLL_SECONDS = 0.25
# A waiting request holds a thread: at most so many in one process, the others are answered at once.
_WAITERS = threading.BoundedSemaphore(2)
_KEY = {
    "parameters": [
        {
            "name": HEADER,
            "in": "header",
            "required": False,
            "schema": {"type": "string", "maxLength": 200, "pattern": "^[ -~]*$"},
            "description": "Your own name for this request (a UUID): sent again within a day, nothing is done twice.",
            "example": "5f0c7a52-6f0e-4f0b-9b1c-0c1b5a3f2d11",
        }
    ]
}


class Waiting(Schema):
    """How long to wait."""

    wait: float = Field(0.0, ge=0, le=LONGEST_WAIT, description="Seconds to wait for its end.", examples=[5])

    @contextmanager
    def turn(self) -> Iterator[bool]:
        """Whether this request may wait: only so many do."""
        mine = bool(self.wait) and _WAITERS.acquire(blocking=False)
        try:
            yield mine
        finally:
            if mine:
                _WAITERS.release()


class LogPaging(Schema):
    """Which lines."""

    after: int = Field(0, ge=0, le=2**53, description="Only lines with a higher number.", examples=[0])
    limit: int = Field(500, ge=1, le=2000, description="How many at most.", examples=[500])


class Filters(Schema):
    """Which deployments."""

    environment: EnvironmentName | None = Field(None, examples=["production"])
    status: Status | None = None
    kind: Kind | None = None


@router.get("/deployments", response=answers({200: DeploymentPage}), throttle=READS, summary="List deployments")
def list_deployments(request: HttpRequest, filters: Query[Filters], paging: Query[Paging]) -> DeploymentPage:
    """Newest first."""
    rows = _visible(reader(request))
    if filters.environment:
        rows = rows.filter(environment__in=selectors.environments_called(filters.environment))
    if filters.status:
        rows = rows.filter(status=filters.status)
    if filters.kind:
        rows = rows.filter(kind=filters.kind)
    found, following = page_of(rows, paging)
    return DeploymentPage(items=[DeploymentOut.of(row) for row in found], next_before=following)


@router.post(
    "/deployments",
    response=answers({201: DeploymentOut}, 404, 409, 413),
    throttle=WRITES,
    summary="Request a deployment",
    openapi_extra=_KEY,
)
def create_deployment(request: HttpRequest, wanted: DeploymentIn) -> HttpStatus[DeploymentOut]:
    """Where the environment asks for approvals it waits for them (status awaiting_approval), else it is queued."""
    actor = actor_of(request)
    environment = selectors.environment_named(wanted.environment)
    require(actor, Verb.BREAK_GLASS if wanted.break_glass else Verb.REQUEST, environment)
    release = _release(wanted, environment)
    row = once(
        request,
        {"deployment": wanted.model_dump()},
        do=lambda: request_deployment(
            actor=actor,
            release=release,
            environment=environment,
            reason=wanted.reason,
            break_glass=wanted.break_glass,
        ),
        recover=lambda began: _left(
            actor, began, kind=Kind.DEPLOYMENT, environment=environment, release=release, reason=one_line(wanted.reason)
        ),
        load=selectors.deployment_numbered,
    )
    return HttpStatus(201, DeploymentOut.of(row))


def _release(wanted: DeploymentIn, environment: Environment) -> Release:
    if wanted.release and wanted.promote_from:
        raise InvalidRequest("Name a release or the environment to promote from, not both.")
    if wanted.release:
        return selectors.release_named(wanted.release, environment.application)
    if wanted.promote_from:
        source = selectors.environment_named(wanted.promote_from)
        return promoted_release(source, environment, again=wanted.again)
    return choose_release(environment, again=wanted.again)


@router.post(
    "/rollbacks",
    response=answers({201: DeploymentOut}, 404, 409, 413),
    throttle=WRITES,
    summary="Request a rollback",
    openapi_extra=_KEY,
)
def create_rollback(request: HttpRequest, wanted: RollbackIn) -> HttpStatus[DeploymentOut]:
    """Needs no approval, but a reason; it goes before everything else, and cancels what runs."""
    actor = actor_of(request)
    environment = selectors.environment_named(wanted.environment)
    require(actor, Verb.ROLL_BACK, environment)
    to = selectors.release_named(wanted.to, environment.application) if wanted.to else None
    row = once(
        request,
        {"rollback": wanted.model_dump()},
        do=lambda: request_rollback(actor=actor, environment=environment, reason=wanted.reason, to=to),
        recover=lambda began: _left(
            actor, began, kind=Kind.ROLLBACK, environment=environment, reason=one_line(wanted.reason)
        ),
        load=selectors.deployment_numbered,
    )
    return HttpStatus(201, DeploymentOut.of(row))


@router.get(
    "/deployments/{number}", response=answers({200: DeploymentDetail}, 404), throttle=READS, summary="Read a deployment"
)
def read_deployment(
    request: HttpRequest,
    number: Path[Number],
    waiting: Query[Waiting],
) -> DeploymentDetail:
    """With `wait` the answer comes when it has ended, or needs an approval, or after so many seconds."""
    row = _numbered(reader(request), number)
    with waiting.turn() as mine:
        if mine:
            row = _waited(row, time.monotonic() + waiting.wait)
    return DeploymentDetail.of(row)


@router.get("/deployments/{number}/log", response=answers({200: LogOut}, 404), throttle=READS, summary="Read the log")
def read_deployment_log(
    request: HttpRequest,
    number: Path[Number],
    paging: Query[LogPaging],
) -> LogOut:
    """Lines after `after`, oldest first."""
    row = _numbered(reader(request), number)  # its status is read first: no line is missed
    rows = LogLine.objects.filter(deployment=row, pk__gt=paging.after).order_by("pk").select_related("target__server")
    lines = [LogLineOut.of(line) for line in rows[: paging.limit]]
    return LogOut(lines=lines, complete=row.ended and len(lines) < paging.limit)


@router.post(
    "/deployments/{number}/cancel",
    response=answers({200: DeploymentOut}, 404, 409, 413),
    throttle=WRITES,
    summary="Cancel a deployment",
)
def cancel_deployment(request: HttpRequest, number: Path[Number]) -> DeploymentOut:
    """At once before it has begun; afterwards the servers' agents end it, restore what they began, and prove it."""
    actor = actor_of(request)
    row = selectors.deployment_numbered(number)
    return DeploymentOut.of(cancel(actor=actor, deployment=row))


@router.post(
    "/deployments/{number}/approvals",
    response=answers({200: DeploymentDetail}, 404, 409, 413),
    throttle=WRITES,
    summary="Approve or reject",
)
def decide_deployment(request: HttpRequest, number: Path[Number], decision: DecisionIn) -> DeploymentDetail:
    """By a token of an approver, who is never the one who asked. The last approval needed queues the deployment."""
    actor = actor_of(request)
    row = selectors.deployment_numbered(number)
    if decision.decision == Approval.Decision.APPROVED:
        after = approve(actor=actor, deployment=row, comment=decision.comment, signature=decision.signature)
    else:
        after = reject(actor=actor, deployment=row, comment=decision.comment)
    return DeploymentDetail.of(after)


def _visible(actor: Actor) -> Any:
    """Deployments that `actor` may see: a token for one environment sees that one only."""
    rows = (
        Deployment.objects.with_taken_back()
        .select_related("environment", "release")
        .defer("environment__private_key", "environment__next_private_key")
    )
    return rows.filter(environment_id=actor.environment_id) if actor.environment_id else rows


def _numbered(actor: Actor, number: int) -> Deployment:
    row = selectors.deployment_numbered(number)
    require(actor, Verb.VIEW, row.environment)
    return row


def _waited(row: Deployment, end: float) -> Deployment:
    while not row.ended and row.status != Status.AWAITING_APPROVAL and (left := end - time.monotonic()) > 0:
        time.sleep(min(_POLL_SECONDS, left))
        row.refresh_from_db()
    return row


def _left(actor: Actor, began: float, **what: Any) -> Deployment | None:
    """What an earlier try with the same key made before its process died."""
    rows = Deployment.objects.filter(
        requested_by=str(actor), requested_at__gte=datetime.fromtimestamp(began, UTC), **what
    )
    return rows.select_related("environment", "release").order_by("pk").first()

"""The alerts the portal was told about."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, cast

from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from ninja import Path, Query, Router, Schema
from pydantic import AwareDatetime, Field

from alerting.acknowledgements import COMMENT_CHARACTERS, LONGEST, acknowledge, snooze, withdraw
from alerting.assignments import assign
from alerting.models import Acknowledgement, Alert
from alerting.selectors import Shown, in_state, shown, with_deployment
from deployments.core.actors import Actor
from deployments.core.selectors import environments_called
from deployments.http.auth import BearerToken, actor_of, reader
from deployments.http.documents import Document
from deployments.http.limits import READS, WRITES
from deployments.http.paging import EnvironmentName, Number, Paging, Text, page_of
from deployments.http.problems import answers
from engine.errors import NotFound

# not the model's class: a document has one component of each name, and deployments have a Status too
AlertStatus = Literal["firing", "resolved"]
AlertState = Literal["open", "acknowledged", "snoozed", "silenced", "resolved"]

Label = Annotated[str, Field(max_length=150, pattern=r"^[^\x00]*$")]
router = Router(tags=["Alerts"], auth=BearerToken())


class Filters(Schema):
    """Which alerts."""

    environment: EnvironmentName | None = Field(None, examples=["production"])
    status: AlertStatus | None = Field(None, examples=["firing"])
    state: AlertState | None = Field(None, description="Narrower than `status`.", examples=["open"])
    severity: Label = Field("", description="Empty: any.", examples=["critical"])
    assignee: Label = Field("", description="A user name; empty: anybody's and nobody's.", examples=["olga"])


class SnoozeIn(Schema):
    """Letting an alert wait."""

    until: AwareDatetime = Field(description="When it comes back by itself: in seven days at most.")
    comment: Text = Field("", max_length=COMMENT_CHARACTERS, examples=["After the film."])


class AssigneeIn(Schema):
    """Giving an alert to a person."""

    name: Label = Field(description="A user name; empty takes it from whoever has it.", examples=["olga"])


class AcknowledgementIn(Schema):
    """Taking an alert in hand."""

    comment: Text = Field(
        "", max_length=COMMENT_CHARACTERS, description="Who does what about it.", examples=["On it. Olga"]
    )
    minutes: int = Field(ge=1, le=LONGEST.days * 24 * 60, description="How long it holds.", examples=[60])


class AcknowledgementOut(Document):
    """Who has an alert in hand, or lets it wait, until when."""

    kind: Literal["acknowledged", "snoozed"]
    actor: str = Field(examples=["olga"])
    comment: str = Field(examples=["On it. Olga"])
    made_at: datetime
    expires_at: datetime

    @classmethod
    def of(cls, row: Acknowledgement) -> "AcknowledgementOut":
        """The document of a record."""
        return cls(
            kind=cast(Any, row.kind),
            actor=row.actor,
            comment=row.comment,
            made_at=row.made_at,
            expires_at=row.expires_at,
        )


class AlertOut(Document):
    """One occurrence of an alert."""

    number: int
    fingerprint: str
    name: str = Field(examples=["BotDown"])
    severity: str = Field(examples=["critical"])
    status: AlertStatus
    state: AlertState = Field(description="`open` is what nobody has acknowledged, snoozed or silenced.")
    environment: str | None
    server: str | None
    summary: str
    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: datetime
    ends_at: datetime | None
    received_at: datetime
    last_received_at: datetime
    deployment: int | None = Field(
        description="The environment's deployment that was running when it began, else the last one before.",
        examples=[41],
    )
    acknowledgement: AcknowledgementOut | None = Field(description="The one that holds now.")
    assignee: str | None = Field(description="Who is to look after it.", examples=["olga"])

    @classmethod
    def of(cls, one: Shown) -> "AlertOut":
        """The document of a record that `with_deployment` found."""
        row = one.alert
        return cls(
            number=row.pk,
            fingerprint=row.fingerprint,
            name=row.name,
            severity=row.severity,
            status=cast(AlertStatus, row.status),
            state=cast(AlertState, one.state),
            environment=str(row.environment) if row.environment else None,
            server=row.server.name if row.server else None,
            summary=row.summary,
            labels=row.labels,
            annotations=row.annotations,
            starts_at=row.starts_at,
            ends_at=row.ends_at,
            received_at=row.received_at,
            last_received_at=row.last_received_at,
            deployment=getattr(row, "deployment_number"),  # noqa: B009  (an annotation of the query)
            acknowledgement=AcknowledgementOut.of(one.held) if one.held else None,
            assignee=row.assignee.username if row.assignee else None,
        )


class AlertPage(Document):
    """Alerts, newest first."""

    items: list[AlertOut]
    next_before: int | None = Field(description="`before` of the next page.")


@router.get("/alerts", response=answers({200: AlertPage}), throttle=READS, summary="List alerts")
def list_alerts(request: HttpRequest, filters: Query[Filters], paging: Query[Paging]) -> AlertPage:
    """Those of the token's environment, and those of none, when the token is for one."""
    actor = reader(request)
    rows = _visible(actor)
    if filters.environment:
        rows = rows.filter(environment__in=environments_called(filters.environment))
    if filters.status:
        rows = rows.filter(status=filters.status)
    if filters.severity:
        rows = rows.filter(severity=filters.severity)
    if filters.assignee:
        rows = rows.filter(assignee__username=filters.assignee)
    rows = in_state(rows, filters.state or "", timezone.now())
    found, following = page_of(rows, paging)
    return AlertPage(items=[AlertOut.of(one) for one in shown(found, timezone.now())], next_before=following)


@router.get("/alerts/{number}", response=answers({200: AlertOut}, 404), throttle=READS, summary="Read an alert")
def read_alert(request: HttpRequest, number: Path[Number]) -> AlertOut:
    """One occurrence, with who has acknowledged it."""
    return _told(_numbered(reader(request), number))


@router.post(
    "/alerts/{number}/acknowledgement",
    response=answers({200: AlertOut}, 404, 409, 413),
    throttle=WRITES,
    summary="Acknowledge an alert",
)
def acknowledge_alert(request: HttpRequest, number: Path[Number], wanted: AcknowledgementIn) -> AlertOut:
    """Says that the token's owner has acknowledged it for a while; takes the place of what was said before."""
    actor = actor_of(request)
    alert = _numbered(actor, number)
    acknowledge(actor=actor, alert=alert, comment=wanted.comment, lasting=timedelta(minutes=wanted.minutes))
    return _told(_numbered(actor, number))


@router.delete(
    "/alerts/{number}/acknowledgement",
    response=answers({200: AlertOut}, 404, 409),
    throttle=WRITES,
    summary="Withdraw an acknowledgement",
)
def withdraw_acknowledgement(request: HttpRequest, number: Path[Number]) -> AlertOut:
    """Nobody has acknowledged it, or lets it wait, any more."""
    actor = actor_of(request)
    alert = _numbered(actor, number)
    withdraw(actor=actor, alert=alert)
    return _told(_numbered(actor, number))


@router.post(
    "/alerts/{number}/snooze",
    response=answers({200: AlertOut}, 404, 409, 413),
    throttle=WRITES,
    summary="Snooze an alert",
)
def snooze_alert(request: HttpRequest, number: Path[Number], wanted: SnoozeIn) -> AlertOut:
    """Lets it wait until a time, when it comes back by itself; takes the place of what was said before."""
    actor = actor_of(request)
    alert = _numbered(actor, number)
    snooze(actor=actor, alert=alert, until=wanted.until, comment=wanted.comment)
    return _told(_numbered(actor, number))


@router.put(
    "/alerts/{number}/assignee",
    response=answers({200: AlertOut}, 404, 409, 413),
    throttle=WRITES,
    summary="Assign an alert",
)
def assign_alert(request: HttpRequest, number: Path[Number], wanted: AssigneeIn) -> AlertOut:
    """Gives it to a person who is operator or approver there, or to nobody."""
    actor = actor_of(request)
    alert = _numbered(actor, number)
    assign(actor=actor, alert=alert, to=wanted.name)
    return _told(_numbered(actor, number))


def _visible(actor: Actor) -> QuerySet[Alert]:
    rows = with_deployment(Alert.objects.select_related("environment", "server", "assignee"))
    if actor.environment_id:
        rows = rows.filter(Q(environment_id=actor.environment_id) | Q(environment=None))
    return rows


def _numbered(actor: Actor, number: int) -> Alert:
    alert = _visible(actor).filter(pk=number).first()
    if alert is None:
        raise NotFound(f"There is no alert {number}.", hint="GET /alerts lists them.")
    return alert


def _told(alert: Alert) -> AlertOut:
    return AlertOut.of(shown([alert], timezone.now())[0])

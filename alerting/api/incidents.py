"""Incidents: what people were told, opening them and adding to them."""

from datetime import datetime
from typing import Annotated, Any, Literal, cast

from django.db.models import Q, QuerySet
from django.http import HttpRequest
from ninja import Path, Query, Router, Schema
from ninja import Status as HttpStatus
from pydantic import Field

from alerting import selectors as alerts
from alerting.incidents.recording import TEXT_CHARACTERS, TITLE_CHARACTERS, Said, open_incident, update_incident
from alerting.incidents.selectors import incidents
from alerting.models import Incident, IncidentUpdate
from deployments.core.actors import Actor
from deployments.core.selectors import environment_named, server_named
from deployments.http.auth import BearerToken, actor_of, reader
from deployments.http.documents import Document
from deployments.http.limits import READS, WRITES
from deployments.http.paging import EnvironmentName, Name, Number, Paging, page_of
from deployments.http.problems import answers
from engine.errors import NotFound

router = Router(tags=["Incidents"], auth=BearerToken())
IncidentState = Literal["investigating", "identified", "monitoring", "resolved"]
IncidentSeverity = Literal["minor", "major", "critical"]
Title = Annotated[str, Field(min_length=1, max_length=TITLE_CHARACTERS, pattern=r"^[^\x00]*$")]
Update = Annotated[str, Field(min_length=1, max_length=TEXT_CHARACTERS, pattern=r"^[^\x00]*$")]


class UpdateIn(Schema):
    """Something to add."""

    text: Update = Field(description="What people notice and what is done.", examples=["CyTube answers again."])
    state: IncidentState | None = Field(None, description="Left out, as it is.", examples=["monitoring"])
    severity: IncidentSeverity | None = Field(None, description="Left out, as it is.", examples=["minor"])
    public: bool | None = Field(
        None, description="Whether everybody sees it, with every update; left out, as it is.", examples=[True]
    )

    def said(self) -> Said:
        """As the service wants it."""
        return Said(self.text, self.state or "", self.severity or "", self.public)


class IncidentIn(UpdateIn):
    """A new incident with its first update."""

    title: Title = Field(examples=["The bot does not answer"])
    severity: IncidentSeverity = Field(examples=["major"])
    environments: list[EnvironmentName] = Field([], max_length=100, examples=[["production"]])
    servers: list[Name] = Field([], max_length=200, description="Bots and servers.", examples=[["prod-1"]])
    alert: Number | None = Field(None, description="The alert that it is about.", examples=[12])


class UpdateOut(Document):
    """What was said at one time."""

    state: IncidentState
    text: str
    author: str = Field(description="For members: the public is not told.", examples=["olga"])
    at: datetime


class IncidentOut(Document):
    """An incident as its latest update left it, with all of them, the newest first."""

    number: int
    title: str
    severity: IncidentSeverity
    state: IncidentState
    public: bool
    environments: list[str]
    servers: list[str]
    alert: int | None
    opened_by: str
    opened_at: datetime
    resolved_at: datetime | None
    updates: list[UpdateOut]

    @classmethod
    def of(cls, row: Incident) -> "IncidentOut":
        """The document of a record."""
        return cls(
            number=row.pk,
            title=row.title,
            severity=cast(IncidentSeverity, row.severity),
            state=cast(IncidentState, row.state),
            public=row.public,
            environments=[str(one) for one in row.environments.all()],
            servers=[one.name for one in row.servers.all()],
            alert=row.alert_id,
            opened_by=row.opened_by,
            opened_at=row.opened_at,
            resolved_at=row.resolved_at,
            updates=[_update(one) for one in row.updates.all()],
        )


class IncidentPage(Document):
    """Incidents, newest first."""

    items: list[IncidentOut]
    next_before: int | None = Field(description="`before` of the next page.")


class IncidentFilters(Schema):
    """Which incidents."""

    open: bool | None = Field(None, description="Those that are not resolved, or those that are; left out, all.")


@router.get("/incidents", response=answers({200: IncidentPage}), throttle=READS, summary="List incidents")
def list_incidents(request: HttpRequest, filters: Query[IncidentFilters], paging: Query[Paging]) -> IncidentPage:
    """Public or not. A token for one environment lists those that affect it."""
    rows = _visible(reader(request))
    if filters.open is not None:
        rows = rows.filter(resolved_at__isnull=filters.open)
    found, following = page_of(rows, paging)
    return IncidentPage(items=[IncidentOut.of(row) for row in found], next_before=following)


@router.get(
    "/incidents/{number}", response=answers({200: IncidentOut}, 404), throttle=READS, summary="Read an incident"
)
def read_incident(request: HttpRequest, number: Path[Number]) -> IncidentOut:
    """One, with everything that was said."""
    return IncidentOut.of(_numbered(reader(request), number))


@router.post("/incidents", response=answers({201: IncidentOut}, 404, 413), throttle=WRITES, summary="Open an incident")
def create_incident(request: HttpRequest, wanted: IncidentIn) -> HttpStatus[IncidentOut]:
    """About environments, bots or, with neither, the whole service."""
    actor = actor_of(request)
    made = open_incident(
        actor=actor,
        title=wanted.title,
        said=wanted.said(),
        environments=[environment_named(name) for name in wanted.environments],
        servers=[server_named(name) for name in wanted.servers],
        alert=_alert(wanted.alert),
    )
    return HttpStatus(201, IncidentOut.of(_numbered(actor, made.pk)))


@router.post(
    "/incidents/{number}/updates",
    response=answers({200: IncidentOut}, 404, 413),
    throttle=WRITES,
    summary="Add to an incident",
)
def add_update(request: HttpRequest, number: Path[Number], wanted: UpdateIn) -> IncidentOut:
    """The state `resolved` ends it."""
    actor = actor_of(request)
    update_incident(actor=actor, incident=_numbered(actor, number), said=wanted.said())
    return IncidentOut.of(_numbered(actor, number))


def _visible(actor: Actor) -> QuerySet[Incident]:
    rows = incidents(members=True).prefetch_related("updates")
    if not actor.environment_id:
        return rows
    here = Q(environments=actor.environment_id) | Q(servers__environment=actor.environment_id)
    return rows.filter(here).distinct()


def _numbered(actor: Actor, number: int) -> Incident:
    row = _visible(actor).filter(pk=number).first()
    if row is None:
        raise NotFound(f"There is no incident {number}.", hint="GET /incidents lists them.")
    return row


def _alert(number: int | None) -> Any:
    found = alerts.numbered(number) if number else None
    if number and found is None:
        raise NotFound(f"There is no alert {number}.", hint="GET /alerts lists them.")
    return found


def _update(one: IncidentUpdate) -> UpdateOut:
    return UpdateOut(state=cast(IncidentState, one.state), text=one.text, author=one.author, at=one.at)

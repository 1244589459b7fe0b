"""Maintenance windows: listing, planning and ending them."""

from datetime import datetime
from typing import Annotated, Literal, cast

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from ninja import Path, Query, Router, Schema
from ninja import Status as HttpStatus
from pydantic import AwareDatetime, Field

from alerting import maintenance
from deployments.core.actors import Actor
from deployments.core.selectors import environment_named
from deployments.http.auth import BearerToken, actor_of, reader
from deployments.http.documents import Document
from deployments.http.limits import READS, WRITES
from deployments.http.paging import EnvironmentName, Number, Paging, Text, page_of
from deployments.http.problems import answers
from deployments.models import Maintenance
from engine.errors import NotFound

router = Router(tags=["Maintenance"], auth=BearerToken())
Title = Annotated[str, Field(min_length=1, max_length=maintenance.TITLE_CHARACTERS, pattern=r"^[^\x00]*$")]


class MaintenanceIn(Schema):
    """A window to set aside."""

    environment: EnvironmentName = Field(examples=["production"])
    title: Title = Field(examples=["CyTube moves to another machine"])
    starts_at: AwareDatetime | None = Field(None, description="Left out, now.", examples=["2026-12-01T20:00:00Z"])
    ends_at: AwareDatetime = Field(examples=["2026-12-01T22:00:00Z"])
    public: bool = Field(False, description="Whether the status page tells everybody.")


class EndIn(Schema):
    """Why it ends early."""

    reason: Text = Field(min_length=1, examples=["It went quicker."])


class MaintenanceOut(Document):
    """A window."""

    number: int
    environment: str
    title: str
    state: Literal["planned", "under way", "over", "called off"]
    starts_at: datetime
    ends_at: datetime
    ended_at: datetime | None = Field(description="When it ended, or was called off.")
    public: bool
    made_by: str
    silenced: bool = Field(description="Whether Alertmanager has its silence.")

    @classmethod
    def of(cls, row: Maintenance) -> "MaintenanceOut":
        """The document of a record."""
        return cls(
            number=row.pk,
            environment=str(row.environment),
            title=row.title,
            state=cast(Literal["planned", "under way", "over", "called off"], row.word(timezone.now())),
            starts_at=row.starts_at,
            ends_at=row.ends_at,
            ended_at=row.ended_at,
            public=row.public,
            made_by=row.made_by,
            silenced=bool(row.silence),
        )


class MaintenancePage(Document):
    """Windows, the last that was planned first."""

    items: list[MaintenanceOut]
    next_before: int | None = Field(description="`before` of the next page.")


@router.get("/maintenance", response=answers({200: MaintenancePage}), throttle=READS, summary="List maintenance")
def list_maintenance(request: HttpRequest, paging: Query[Paging]) -> MaintenancePage:
    """Planned, under way and over; of its environment for a token for one."""
    found, following = page_of(_visible(reader(request)), paging)
    return MaintenancePage(items=[MaintenanceOut.of(row) for row in found], next_before=following)


@router.post(
    "/maintenance", response=answers({201: MaintenanceOut}, 404, 409, 413), throttle=WRITES, summary="Plan maintenance"
)
def plan_maintenance(request: HttpRequest, wanted: MaintenanceIn) -> HttpStatus[MaintenanceOut]:
    """While it holds, nothing is deployed there and its alerts are silenced; going back is possible."""
    made = maintenance.plan(
        actor=actor_of(request),
        environment=environment_named(wanted.environment),
        title=wanted.title,
        starts_at=wanted.starts_at,
        ends_at=wanted.ends_at,
        public=wanted.public,
    )
    return HttpStatus(201, MaintenanceOut.of(made))


@router.post(
    "/maintenance/{number}/end",
    response=answers({200: MaintenanceOut}, 404, 409, 413),
    throttle=WRITES,
    summary="End maintenance",
)
def end_maintenance(request: HttpRequest, number: Path[Number], wanted: EndIn) -> MaintenanceOut:
    """Now, or call it off before it begins."""
    actor = actor_of(request)
    row = _visible(actor).filter(pk=number).first()
    if row is None:
        raise NotFound(f"There is no maintenance {number}.", hint="GET /maintenance lists what is planned.")
    return MaintenanceOut.of(maintenance.end(actor=actor, window=row, reason=wanted.reason))


def _visible(actor: Actor) -> QuerySet[Maintenance]:
    rows = Maintenance.objects.select_related("environment")
    return rows.filter(environment=actor.environment_id) if actor.environment_id else rows

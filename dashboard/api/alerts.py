"""The alerts the portal was told about."""

from datetime import datetime
from typing import Literal, cast

from django.db.models import Q
from django.http import HttpRequest
from ninja import Query, Router, Schema
from pydantic import Field

from dashboard.models import Alert
from deployments.api.auth import BearerToken, reader
from deployments.api.limits import READS
from deployments.api.paging import Name, Paging, page_of
from deployments.api.problems import answers

# not the model's class: a document has one component of each name, and deployments have a Status too
AlertStatus = Literal["firing", "resolved"]

router = Router(tags=["Alerts"], auth=BearerToken())


class Filters(Schema):
    """Which alerts."""

    environment: Name | None = Field(None, examples=["production"])
    status: AlertStatus | None = Field(None, examples=["firing"])


class AlertOut(Schema):
    """One occurrence of an alert."""

    number: int
    fingerprint: str
    name: str = Field(examples=["BotDown"])
    severity: str = Field(examples=["critical"])
    status: AlertStatus
    environment: str | None
    server: str | None
    summary: str
    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: datetime
    ends_at: datetime | None
    received_at: datetime
    last_received_at: datetime

    @classmethod
    def of(cls, row: Alert) -> "AlertOut":
        """The document of a record."""
        return cls(
            number=row.pk,
            fingerprint=row.fingerprint,
            name=row.name,
            severity=row.severity,
            status=cast(AlertStatus, row.status),
            environment=row.environment.name if row.environment else None,
            server=row.server.name if row.server else None,
            summary=row.summary,
            labels=row.labels,
            annotations=row.annotations,
            starts_at=row.starts_at,
            ends_at=row.ends_at,
            received_at=row.received_at,
            last_received_at=row.last_received_at,
        )


class AlertPage(Schema):
    """Alerts, newest first."""

    items: list[AlertOut]
    next_before: int | None = Field(description="`before` of the next page.")


@router.get("/alerts", response=answers({200: AlertPage}), throttle=READS, summary="List alerts")
def list_alerts(request: HttpRequest, filters: Query[Filters], paging: Query[Paging]) -> AlertPage:
    """Those of the token's environment, and those of none, when the token is for one."""
    actor = reader(request)
    rows = Alert.objects.select_related("environment", "server")
    if actor.environment_id:
        rows = rows.filter(Q(environment_id=actor.environment_id) | Q(environment=None))
    if filters.environment:
        rows = rows.filter(environment__name=filters.environment)
    if filters.status:
        rows = rows.filter(status=filters.status)
    found, following = page_of(rows, paging)
    return AlertPage(items=[AlertOut.of(row) for row in found], next_before=following)

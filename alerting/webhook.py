"""`/api/alerts/alertmanager`: where Alertmanager delivers."""

import logging
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from pydantic import AwareDatetime, BaseModel, Field, ValidationError, field_validator

from alerting.inbox import Delivery, Report, receive, tell_deployments
from deployments.core.read_only import NotInCharge
from deployments.http.machines import token_required
from deployments.http.problems import from_portal_error, problem
from deployments.models import Scope

logger = logging.getLogger(__name__)
BODY_LIMIT = 1 << 20  # bytes; Alertmanager's largest groups stay far below
_NO_END = "0001-"  # Alertmanager writes the year 1 for "has not ended"

Text = Annotated[str, Field(max_length=4000, pattern=r"^[^\x00]*$")]
Texts = Annotated[dict[Text, Text], Field(max_length=100)]


# What every database can hold, in every time zone.
Moment = Annotated[AwareDatetime, Field(ge=datetime(2000, 1, 1, tzinfo=UTC), lt=datetime(9000, 1, 1, tzinfo=UTC))]


class _Alert(BaseModel):
    status: Literal["firing", "resolved"]
    fingerprint: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[0-9A-Za-z]+$")]
    labels: Texts = {}
    annotations: Texts = {}
    startsAt: Moment
    endsAt: Moment | None = None
    generatorURL: Text = ""

    @field_validator("endsAt", mode="before")
    @classmethod
    def _no_end(cls, value: object) -> object:
        return None if isinstance(value, str) and value.startswith(_NO_END) else value


class _Payload(BaseModel):
    """Version 4 of the webhook format (prometheus.io, "Alerting: webhook_config")."""

    version: Literal["4"]
    receiver: Text
    groupKey: Text
    alerts: Annotated[list[_Alert], Field(max_length=1000)]


@csrf_exempt
@require_POST
@token_required(Scope.ALERTS)
def alertmanager(request: HttpRequest) -> HttpResponseBase:
    """Store a delivery. 204 when it is stored; a refusal says what is wrong, and Alertmanager logs it."""
    if int(request.headers.get("Content-Length") or 0) > BODY_LIMIT:  # the server takes no body without a length
        return problem(413, f"A delivery may have {BODY_LIMIT} bytes.", reason="too_large")
    try:
        payload = _Payload.model_validate_json(request.body)
    except ValidationError as error:
        first: Any = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])[:200]
        logger.warning("a delivery from Alertmanager was refused: %s: %s", where, first["msg"])
        return problem(422, f"This is no delivery of Alertmanager: {where}: {first['msg']}", reason="invalid")
    reports = [_report(alert) for alert in payload.alerts]
    try:
        tell_deployments(receive(delivery=Delivery(payload.receiver, payload.groupKey, reports)))
    except NotInCharge as error:
        return from_portal_error(request, error)
    return HttpResponse(status=204)


def _report(alert: _Alert) -> Report:
    return Report(
        fingerprint=alert.fingerprint,
        status=alert.status,
        starts_at=alert.startsAt,
        ends_at=alert.endsAt,
        labels=dict(alert.labels),
        annotations=dict(alert.annotations),
        generator_url=alert.generatorURL,
    )

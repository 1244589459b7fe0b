"""`/api/alerts/alertmanager`: where Alertmanager delivers."""

import logging
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from pydantic import AwareDatetime, BaseModel, BeforeValidator, Field, ValidationError, field_validator

from alerting.inbox import Delivery, Report, receive, refuse_others, tell_deployments
from deployments.core.read_only import NotInCharge
from deployments.http.auth import token_of
from deployments.http.machines import token_required
from deployments.http.problems import from_portal_error, problem
from deployments.models import Scope
from engine.errors import NotAllowed

logger = logging.getLogger(__name__)
BODY_LIMIT = 1 << 20  # bytes; Alertmanager's largest groups stay far below
_NO_END = "0001-"  # Alertmanager writes the year 1 for "has not ended"

MOST_ALERTS = 1000
"""Of one delivery; what fires is kept before what has ended."""
TEXT_CHARACTERS = 4000
MOST_TEXTS = 100
_KEPT_FIRST = ("alertname", "severity", "environment", "server", "concerns", "drill", "summary")


def _cut(value: object) -> object:
    if not isinstance(value, str) or len(value) <= TEXT_CHARACTERS:
        return value
    kept = value[: TEXT_CHARACTERS - 50]
    return f"{kept} [{len(value) - len(kept)} characters left out]"


def _fewer(value: object) -> object:
    if not isinstance(value, dict) or len(value) <= MOST_TEXTS:
        return value
    ordered = sorted(value, key=lambda name: name not in _KEPT_FIRST)[: MOST_TEXTS - 1]
    return {name: value[name] for name in ordered} | {"left_out": f"{len(value) - len(ordered)} more"}


Text = Annotated[str, Field(pattern=r"^[^\x00]*$"), BeforeValidator(_cut)]
Texts = Annotated[dict[Text, Text], BeforeValidator(_fewer)]

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
    receiver: Annotated[str, Field(max_length=TEXT_CHARACTERS, pattern=r"^[^\x00]*$")]
    groupKey: Text
    truncatedAlerts: Annotated[int, Field(ge=0, lt=1 << 31)] = 0
    alerts: list[Any]


@csrf_exempt
@require_POST
@token_required(Scope.ALERTS)
def alertmanager(request: HttpRequest) -> HttpResponseBase:
    """Store a delivery. 204 when it is stored; a refusal says what is wrong, and Alertmanager logs it."""
    if int(request.headers.get("Content-Length") or 0) > BODY_LIMIT:  # the server takes no body without a length
        return problem(413, f"A delivery may have {BODY_LIMIT} bytes.", reason="too_large")
    try:
        payload = _Payload.model_validate_json(request.body)
        delivery = _delivery(payload)
    except ValidationError as error:
        first: Any = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])[:200]
        logger.warning("a delivery from Alertmanager was refused: %s: %s", where, first["msg"])
        return problem(422, f"This is no delivery of Alertmanager: {where}: {first['msg']}", reason="invalid")
    try:
        refuse_others(delivery, token_of(request).environment)
        tell_deployments(receive(delivery=delivery))
    except (NotInCharge, NotAllowed) as error:
        return from_portal_error(request, error)
    return HttpResponse(status=204)


def _delivery(payload: _Payload) -> Delivery:
    """What can be kept of it. Raises ValidationError when it has alerts, and none of them is one."""
    alerts, refused = [], None
    for one in payload.alerts:
        try:
            alerts.append(_Alert.model_validate(one))
        except ValidationError as error:
            refused = refused or error
    if refused and not alerts:
        raise refused
    kept = sorted(alerts, key=lambda alert: alert.status != "firing")[:MOST_ALERTS]
    left_out = len(payload.alerts) - len(kept)
    if left_out:
        why = f"; one of them: {refused.errors(include_input=False)[0]['msg']}" if refused else ""
        logger.warning("%d of %d alerts of a delivery were left out%s", left_out, len(payload.alerts), why)
    reports = [_report(alert) for alert in kept]
    return Delivery(payload.receiver, payload.groupKey, reports, left_out + payload.truncatedAlerts)


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

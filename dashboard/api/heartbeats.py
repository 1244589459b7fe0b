"""`POST /api/v1/heartbeats`: a bot tells how it is."""

from datetime import UTC, datetime
from typing import Annotated

from django.http import HttpRequest
from ninja import Router, Schema, Status
from pydantic import AwareDatetime, Field

from dashboard.health.document import HealthDocument
from dashboard.services.heartbeats import Heartbeat, accept
from deployments.http.auth import BearerToken, require_scope, server_of, token_of
from deployments.http.limits import BEATS
from deployments.http.problems import answers
from deployments.models import Scope

router = Router(tags=["Bots"])


class HeartbeatIn(Schema):
    """One heartbeat. Fields we do not know are ignored, for newer bots; the health document has exactly its eight."""

    health: HealthDocument
    release: str = Field("", max_length=64, pattern=r"^[A-Za-z0-9._+-]*$", examples=["1.4.0-3f9a1c22"])
    sent_at: AwareDatetime = Field(
        ge=datetime(1970, 1, 1, tzinfo=UTC),
        lt=datetime(9000, 1, 1, tzinfo=UTC),
        description="By the bot's clock, with time zone; used to notice a wrong clock only.",
    )
    response_ms: Annotated[float, Field(ge=0, le=3.6e6, allow_inf_nan=False)] | None = Field(
        None, description="How long the bot's own health answer took, in milliseconds.", examples=[1.8]
    )
    goodbye: bool = Field(False, description="The bot is stopping on purpose.")


@router.post(
    "/heartbeats",
    auth=BearerToken(),
    throttle=BEATS,
    response=answers({204: None}, 413),
    summary="Report a bot's health",
)
def report_heartbeat(request: HttpRequest, beat: HeartbeatIn) -> Status[None]:
    """Every 10 s, and at once when something changes. The token (scope heartbeat) says which server's bot this is."""
    token = token_of(request)
    require_scope(token, Scope.HEARTBEAT)
    accept(
        server=server_of(token),
        heartbeat=Heartbeat(beat.health, beat.release, beat.sent_at, beat.response_ms, beat.goodbye),
    )
    return Status(204, None)

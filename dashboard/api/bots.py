"""How the bots are, and how they have been."""

from datetime import datetime
from typing import Literal

from django.http import HttpRequest
from django.utils import timezone
from ninja import Path, Query, Router, Schema
from pydantic import Field

from dashboard.models import Sample
from dashboard.selectors.bots import Bot, all_bots, bot_named
from deployments.access.policy import require
from deployments.access.verbs import Verb
from deployments.http.auth import BearerToken, reader
from deployments.http.documents import Document
from deployments.http.limits import READS
from deployments.http.paging import Name
from deployments.http.problems import answers
from engine.errors import NotFound

router = Router(tags=["Bots"], auth=BearerToken())


class Stretches(Schema):
    """Which samples."""

    resolution: Literal[10, 60, 600, 3600, 86400] = Field(
        600, description="Length of a stretch in seconds.", examples=[600]
    )
    limit: int = Field(144, ge=1, le=1000, description="How many at most.", examples=[144])


class BotOut(Document):
    """One bot by its last heartbeat."""

    name: str = Field(examples=["prod-1"])
    environment: str = Field(examples=["production"])
    condition: str | None = Field(
        description="connected, disconnected, stale, down or stopped; null before its first heartbeat.",
        examples=["connected"],
    )
    channel: str | None = None
    user_count: int | None = None
    uptime: float | None = Field(None, description="Seconds since the bot's process started.")
    version: str | None = None
    release: str | None = None
    requests: int | None = None
    errors: int | None = None
    response_ms: float | None = None
    heard_at: datetime | None = Field(None, description="When it last spoke, or answered the portal.")
    changed_at: datetime | None = Field(
        None,
        description="Since when it had been so when heard: in its room, out of it, or stopped; counted anew by a "
        "new process and after a silence of more than a minute.",
    )

    @classmethod
    def of(cls, bot: Bot) -> "BotOut":
        """The document of a bot."""
        state = bot.state
        known = {"name": bot.name, "environment": str(bot.server.environment), "condition": bot.condition}
        if state is None:
            return cls.model_validate(known)
        fields = set(cls.model_fields) - set(known)
        return cls.model_validate(known | {field: getattr(state, field) for field in fields})


class SampleOut(Document):
    """Sums over one stretch of time."""

    at: datetime
    beats: int
    connected_seconds: float
    observed_seconds: float = Field(description="Time in which the bot was listened to; of the rest nothing is known.")
    users_mean: float | None
    users_max: int
    requests: int
    errors: int
    response_ms_mean: float | None
    response_ms_max: float

    @classmethod
    def of(cls, row: Sample) -> "SampleOut":
        """The document of a record."""
        return cls(
            at=row.at,
            beats=row.beats,
            connected_seconds=row.connected_seconds,
            observed_seconds=row.observed_seconds,
            users_mean=row.users_sum / row.beats if row.beats else None,
            users_max=row.users_max,
            requests=row.requests,
            errors=row.errors,
            response_ms_mean=row.response_sum / row.response_beats if row.response_beats else None,
            response_ms_max=row.response_max,
        )


@router.get("/bots", response=answers({200: list[BotOut]}), throttle=READS, summary="List bots")
def list_bots(request: HttpRequest) -> list[BotOut]:
    """Every bot; those in trouble first within their environment."""
    actor = reader(request)
    return [
        BotOut.of(bot) for bot in all_bots(timezone.now()) if actor.environment_id in (None, bot.server.environment_id)
    ]


@router.get("/bots/{name}", response=answers({200: BotOut}, 404), throttle=READS, summary="Read a bot")
def read_bot(request: HttpRequest, name: Path[Name]) -> BotOut:
    """The bot on the server `name`."""
    return BotOut.of(_bot(request, name))


@router.get(
    "/bots/{name}/samples",
    response=answers({200: list[SampleOut]}, 404),
    throttle=READS,
    summary="Read a bot's samples",
)
def list_samples(request: HttpRequest, name: Path[Name], wanted: Query[Stretches]) -> list[SampleOut]:
    """The latest stretches, newest first; a stretch in which nothing was heard is not there."""
    bot = _bot(request, name)
    rows = Sample.objects.filter(server=bot.server, resolution=wanted.resolution).order_by("-at")[: wanted.limit]
    return [SampleOut.of(row) for row in rows]


def _bot(request: HttpRequest, name: str) -> Bot:
    actor = reader(request)
    bot = bot_named(name, timezone.now())
    if bot is None:
        raise NotFound(f"There is no bot {name!r}.", hint="GET /api/v1/bots lists them.", reason="unknown_bot")
    require(actor, Verb.VIEW, bot.server.environment)
    return bot

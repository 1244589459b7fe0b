"""Silences in Alertmanager, made and lifted by people."""

from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

from django.http import HttpRequest
from ninja import Path, Query, Router, Schema
from ninja import Status as HttpStatus
from pydantic import Field

from alerting import silences
from alerting.silences import LONGEST, REASON_CHARACTERS, Wanted
from deployments.http.auth import BearerToken, actor_of
from deployments.http.documents import Document
from deployments.http.limits import READS, WRITES
from deployments.http.paging import EnvironmentName, Text
from deployments.http.problems import answers
from engine.alertmanager import Silence

router = Router(tags=["Silences"], auth=BearerToken())
Label = Annotated[str, Field(max_length=150, pattern=r"^[^\x00]*$")]


class Matched(Schema):
    """Which alerts: those with all of these labels."""

    alertname: Label = Field("", description="Empty: any.", examples=["BotDown"])
    environment: EnvironmentName | None = Field(None, description="Without it: any.", examples=["production"])
    server: Label = Field("", description="Empty: any.", examples=["prod-1"])
    label: list[Label] = Field([], max_length=50, description="Others, as NAME=VALUE.", examples=[["severity=warning"]])

    def wanted(self) -> Wanted:
        """As the service wants it. Raises InvalidRequest."""
        named = {"alertname": self.alertname, "environment": self.environment or "", "server": self.server}
        texts = [f"{name}={value.strip()}" for name, value in named.items() if value.strip()]
        return Wanted.read([*self.label, *texts])


class SilenceIn(Matched):
    """A silence to be made."""

    reason: Text = Field(min_length=1, max_length=REASON_CHARACTERS, examples=["CyTube is being moved until noon."])
    minutes: int = Field(ge=1, le=LONGEST.days * 24 * 60, description="How long it holds.", examples=[60])


class SilenceOut(Document):
    """A silence that Alertmanager keeps."""

    identifier: str = Field(examples=["6f0e4f0b-5f0c-7a52-9b1c-0c1b5a3f2d11"])
    matchers: list[str] = Field(examples=[['alertname="BotDown"']])
    created_by: str
    reason: str
    starts_at: datetime
    ends_at: datetime

    @classmethod
    def of(cls, one: Silence) -> "SilenceOut":
        """The document of one."""
        return cls(
            identifier=one.identifier,
            matchers=[str(each) for each in one.matchers],
            created_by=one.created_by,
            reason=one.comment,
            starts_at=one.starts_at,
            ends_at=one.ends_at,
        )


class MatchOut(Document):
    """An alert that a silence would silence."""

    name: str = Field(examples=["BotDown"])
    labels: dict[str, str]
    starts_at: datetime
    suppressed: bool = Field(description="Another silence, or an alert that is its cause, silences it already.")


class MadeOut(Document):
    """A silence that was made."""

    identifier: str = Field(description="Of the silence in Alertmanager.")


@router.get("/silences", response=answers({200: list[SilenceOut]}, 502), throttle=READS, summary="List silences")
def list_silences(request: HttpRequest) -> list[SilenceOut]:
    """Those that stand, whoever made them; deployments' own too. A token for one environment lists that one's."""
    return [SilenceOut.of(one) for one in silences.visible_to(actor_of(request))]


@router.get(
    "/silences/matches", response=answers({200: list[MatchOut]}, 502), throttle=READS, summary="Preview a silence"
)
def preview_silence(request: HttpRequest, matched: Query[Matched]) -> list[MatchOut]:
    """What fires now and would be silenced."""
    found = silences.preview(actor=actor_of(request), wanted=matched.wanted())
    return [
        MatchOut(name=one.name, labels=dict(one.labels), starts_at=one.starts_at, suppressed=one.state == "suppressed")
        for one in found
    ]


@router.post("/silences", response=answers({201: MadeOut}, 413, 502), throttle=WRITES, summary="Silence alerts")
def create_silence(request: HttpRequest, wanted: SilenceIn) -> HttpStatus[MadeOut]:
    """From now on. A token for one environment has to name it."""
    made = silences.silence(
        actor=actor_of(request),
        wanted=wanted.wanted(),
        reason=wanted.reason,
        lasting=timedelta(minutes=wanted.minutes),
    )
    return HttpStatus(201, MadeOut(identifier=made))


@router.delete(
    "/silences/{identifier}",
    response=answers({204: None}, 404, 409, 502),
    throttle=WRITES,
    summary="Lift a silence",
)
def lift_silence(request: HttpRequest, identifier: Path[UUID]) -> HttpStatus[None]:
    """Ends one now that was made here."""
    silences.lift(actor=actor_of(request), identifier=str(identifier))
    return HttpStatus(204, None)

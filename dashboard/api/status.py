"""How things stand."""

from typing import Literal

from django.http import HttpRequest
from django.utils import timezone
from ninja import Router
from pydantic import Field

from dashboard.selectors.overall_status import overall_status
from deployments.access.policy import require
from deployments.access.verbs import Verb
from deployments.http.auth import BearerToken, reader
from deployments.http.documents import Document
from deployments.http.limits import READS
from deployments.http.problems import answers

router = Router(tags=["Status"], auth=BearerToken())


class SituationOut(Document):
    """The same answer that the status page gives its members."""

    mood: Literal["calm", "wary", "alarmed", "empty"] = Field(
        description="calm: nothing to do; wary: look; alarmed: act; empty: nothing has been deployed yet."
    )
    headline: str = Field(description="One sentence; the worst comes first.", examples=["Both bots are in their rooms"])
    remarks: list[str] = Field(description="What else there is to say, in sentences.")
    alarms: int = Field(description="Firing alerts that need action.", examples=[0])
    troubled: list[str] = Field(description="Bots that should be in their rooms and are not known to be.")


@router.get("/status", response=answers({200: SituationOut}), throttle=READS, summary="Read how things stand")
def read_status(request: HttpRequest) -> SituationOut:
    """Of everything; a token for one environment may not ask."""
    require(reader(request), Verb.VIEW)
    found = overall_status(timezone.now())
    return SituationOut(
        mood=found.mood,
        headline=found.headline,
        remarks=found.remarks,
        alarms=len(found.alerts.alarms),
        troubled=[bot.name for bot in found.troubled],
    )

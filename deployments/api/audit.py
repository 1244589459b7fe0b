"""The audit trail, to read."""

from django.http import HttpRequest
from ninja import Query, Router, Schema
from pydantic import Field

from deployments.access.policy import require
from deployments.access.verbs import Verb
from deployments.api.record_schemas import AuditEventOut, AuditPage
from deployments.audit import trail
from deployments.http.auth import BearerToken, actor_of
from deployments.http.limits import READS
from deployments.http.paging import Paging, Text, page_of
from deployments.http.problems import answers
from deployments.models import AuditEvent
from engine.errors import NotAllowed

router = Router(tags=["Audit"], auth=BearerToken())


class Filters(Schema):
    """Which events."""

    name: Text | None = Field(None, examples=["deployment.approved"])
    actor: Text | None = Field(None, examples=["operator"])
    subject: Text | None = Field(None, examples=["deployment:41"])


@router.get("/audit", response=answers({200: AuditPage}), throttle=READS, summary="Read the audit trail")
def list_events(request: HttpRequest, filters: Query[Filters], paging: Query[Paging]) -> AuditPage:
    """Newest first. A token for one environment reads nothing here: the chain is of all environments."""
    actor = actor_of(request)
    require(actor, Verb.READ_AUDIT)
    if actor.environment_id:
        raise NotAllowed(
            f"The token {actor.name} is for one environment, the audit trail is of all.",
            hint="Make a token without an environment.",
        )
    rows = AuditEvent.objects.filter(**{key: value for key, value in filters.model_dump().items() if value is not None})
    found, following = page_of(rows, paging, field="sequence")
    return AuditPage(items=[AuditEventOut.of(row) for row in found], next_before=following, head=str(trail.head()))

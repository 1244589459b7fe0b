"""What the status page shows to people who are not signed in."""

from collections.abc import Mapping
from typing import Any

from django.db import transaction

from dashboard.models import StatusPage
from deployments.access.policy import require
from deployments.access.verbs import Verb
from deployments.audit import trail
from deployments.core.actors import Actor
from engine.errors import InvalidRequest

SUBJECT = "status_page"
EDITABLE = ("title", "public", "show_users", "show_versions", "show_charts", "show_deployments", "show_alerts")


def configure_status_page(*, actor: Actor, changes: Mapping[str, Any]) -> StatusPage:
    """Write the fields of `changes` (of EDITABLE); what differs is in the audit trail, field by field.

    Raises NotAllowed, InvalidRequest.
    """
    require(actor, Verb.CONFIGURE)
    if unknown := sorted(set(changes) - set(EDITABLE)):
        raise InvalidRequest(f"Not a setting of the status page: {', '.join(unknown)}.")
    with transaction.atomic():
        page = StatusPage.objects.select_for_update().filter(pk=1).first() or StatusPage(pk=1)
        differing = trail.changes({name: getattr(page, name) for name in changes}, dict(changes))
        for name, value in changes.items():
            setattr(page, name, value)
        page.save()
        if differing:
            trail.record(actor=actor, name="status_page.configured", subject=SUBJECT, data={"changes": differing})
    return page

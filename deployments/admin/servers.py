"""Servers: what the record says, adding one, and what is done with it."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse

from deployments.access.verbs import Verb
from deployments.admin import labels
from deployments.admin.actors import actor_of
from deployments.admin.base import PortalAdmin
from deployments.admin.confirmations import Confirmation
from deployments.admin.enrolment import enrol_view, enrollable
from deployments.admin.forms import PageForm, ReasonForm, switch
from deployments.admin.operations import Restart, Restore, RunCommand, Start, Stop
from deployments.admin.provisioning import Provision
from deployments.admin.server_checks import CheckDrift, VerifyServer
from deployments.admin.server_page import server_page
from deployments.core.actors import Actor
from deployments.models import Server
from deployments.servers.decommissioning import decommission_on_record, what_stays
from deployments.servers.drift_answers import accept_drift, put_back


class UnderstoodForm(PageForm):
    """A word that has been read."""

    understood = switch(
        "I have read what stays on the machine", help_text="The record is marked; the machine is not touched."
    )

    def prepare(self) -> None:
        """Nobody does this by the way."""
        self.fields["understood"].required = True


class Decommission(Confirmation[Server]):
    """Out of service on the record; taking things off the machine needs root there, so a management command does it."""

    slug = "decommission"
    label = "Decommission"
    icon = "delete_forever"
    tone = "bad"
    verb = Verb.DECOMMISSION
    form_class = UnderstoodForm

    def offered(self, obj: Server, actor: Actor) -> bool:
        """While it is in service."""
        return obj.state != Server.State.RETIRED

    def consequences(self, obj: Server) -> Sequence[str]:
        """What ends, what stays, and how to take it off."""
        return [
            f"{obj} is no target of deployments any more, is neither scraped nor shown, and its tokens are revoked.",
            "Its deployments and its audit trail stay.",
            *what_stays(obj),
            f"To take all of it off the machine, run manage.py decommission {obj}, instead of this page or after it.",
        ]

    def perform(self, *, actor: Actor, obj: Server, data: dict[str, Any]) -> str:
        """Mark it."""
        left = decommission_on_record(actor=actor, server=obj)
        return f"{obj} is decommissioned{' on record only' if left else ''}."


class AcceptDrift(Confirmation[Server]):
    """What differs is meant to be so."""

    slug = "accept-drift"
    label = "Accept the differences"
    icon = "check"
    verb = Verb.ACKNOWLEDGE
    form_class = ReasonForm

    def offered(self, obj: Server, actor: Actor) -> bool:
        """While something differs that nobody has accepted."""
        return bool(obj.open_drift)

    def consequences(self, obj: Server) -> Sequence[str]:
        """What is accepted, and what that means."""
        return [*obj.open_drift, "Nothing changes on the server. No alert speaks of this until it changes again."]

    def perform(self, *, actor: Actor, obj: Server, data: dict[str, Any]) -> str:
        """Record it."""
        accept_drift(actor=actor, server=obj, reason=data["reason"])
        return f"The differences of {obj} are accepted."


class PutBack(Confirmation[Server]):
    """What a release brought is brought again."""

    slug = "put-back"
    label = "Put it back"
    icon = "undo"
    tone = "good"
    verb = Verb.REQUEST

    def offered(self, obj: Server, actor: Actor) -> bool:
        """While something differs that nobody has accepted."""
        return bool(obj.open_drift) and obj.current_release is not None

    def consequences(self, obj: Server) -> Sequence[str]:
        """A deployment like any other."""
        return [
            *obj.open_drift,
            f"{obj.current_release} is deployed to {obj.environment} again, with the approvals that it needs.",
            "What provisioning put there is put back by manage.py provision, since the portal keeps no root key.",
        ]

    def perform(self, *, actor: Actor, obj: Server, data: dict[str, Any]) -> str:
        """Ask for it."""
        deployment = put_back(actor=actor, server=obj)
        return f"Deployment {deployment.pk} puts back what differs on {obj}."


@admin.register(Server)
class ServerAdmin(PortalAdmin[Server]):
    """Added by a form of its own; nothing of the record is edited."""

    confirmations = (
        Start(),
        VerifyServer(),
        Restart(),
        Stop(),
        RunCommand(),
        Restore(),
        CheckDrift(),
        PutBack(),
        AcceptDrift(),
        Provision(),
        Decommission(),
    )
    list_display = ("name", "environment", "shown_state", "host", "shown_roles", "current_release", "inspected")
    list_filter = ("environment", "state")
    search_fields = ("name", "host", "fingerprint", "jump")
    list_select_related = ("environment", "current_release")
    fields = ()
    change_form_template = "deployments/admin/server.html"

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Where somebody may enrol in one environment at least."""
        return bool(enrollable(actor_of(request)))

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Address, key, record."""
        return enrol_view(self, request)

    def audit_subject(self, obj: Server) -> str:
        """`server:prod-1`."""
        return f"server:{obj.name}"

    @admin.display(description="State", ordering="state")
    def shown_state(self, obj: Server) -> str:
        """In colour."""
        return labels.status(obj.state, obj.get_state_display())

    @admin.display(description="Roles")
    def shown_roles(self, obj: Server) -> str:
        """Comma-separated."""
        return ", ".join(obj.roles) or labels.NONE

    @admin.display(description="Inspected", ordering="inspected_at")
    def inspected(self, obj: Server) -> str:
        """How long ago."""
        return labels.moment(obj.inspected_at)

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        """The page."""
        server = context.get("original")
        if server is not None:
            context |= server_page(request, server, context["portal_actions"])
        return super().render_change_form(request, context, *args, **kwargs)

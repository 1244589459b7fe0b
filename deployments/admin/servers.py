"""Servers: what the record says, adding one, and what is done with it."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import mark_safe

from deployments.access.verbs import Verb
from deployments.admin import labels
from deployments.admin.actors import actor_of
from deployments.admin.base import PortalAdmin
from deployments.admin.confirmations import Confirmation
from deployments.admin.drift_files import in_a_sentence
from deployments.admin.enrolment import enrol_view, enrollable
from deployments.admin.forms import PageForm, ReasonForm, switch
from deployments.admin.operations import Restart, Restore, RunCommand, Start, Stop
from deployments.admin.provisioning import Provision
from deployments.admin.server_checks import CheckDrift, VerifyServer
from deployments.admin.server_page import server_page
from deployments.core import selectors
from deployments.core.actors import Actor
from deployments.core.texts import plural
from deployments.lifecycle import Status
from deployments.models import Deployment, Server
from deployments.servers.decommissioning import decommission_on_record, what_stays
from deployments.servers.drift_answers import accept_drift, put_back
from deployments.templatetags.ops import version

MOST = 200
"""Deployments that wait or run, of all environments: those of a page are among them."""


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
        return [
            *obj.open_drift,
            *in_a_sentence(obj),
            "Nothing changes on the server. No alert speaks of this until it changes again.",
        ]

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
            *in_a_sentence(obj),
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
    list_display = (
        "name",
        "shown_state",
        "stands",
        "shown_environment",
        "runs",
        "shown_drift",
        "shown_host",
    )
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

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """The list, with how each service on its page is and what goes on in each environment."""
        changes = super().get_changelist_instance(request)
        rows = list(changes.result_list)
        active, waiting = Deployment.objects.active(), selectors.waiting_requests()
        going_on: dict[int, Deployment] = {}
        for each in (waiting, active):
            going_on |= {one.environment_id: one for one in each.select_related(None).defer("snapshot")[:MOST]}
        for row in rows:
            row.going_on = going_on.get(row.environment_id)
            context = {"server": row, "request": request}
            row.stands = mark_safe(render_to_string("deployments/admin/server_stands.html", context).strip())  # noqa: S308  (our template)
        return changes

    @admin.display(description="Now")
    def stands(self, obj: Server) -> str:
        """Its service and its alerts."""
        return str(getattr(obj, "stands", "")) or labels.NONE

    @admin.display(description="Environment", ordering="environment")
    def shown_environment(self, obj: Server) -> str:
        """Where it belongs, and the deployment that waits or runs there."""
        where = reverse("admin:deployments_environment_change", args=[obj.environment_id])
        said = format_html('<a href="{}">{}</a>', where, obj.environment)
        one: Deployment | None = getattr(obj, "going_on", None)
        if one is None:
            return said
        words = "waits" if one.status == Status.AWAITING_APPROVAL else one.get_status_display().lower()
        pill = labels.status(one.status, f"#{one.pk} {words}")
        return format_html('{} <a href="{}">{}</a>', said, reverse("deployment", args=[one.pk]), pill)

    @admin.display(description="Runs", ordering="current_release")
    def runs(self, obj: Server) -> str:
        """The release on record."""
        if obj.current_release is None:
            return labels.NONE
        there = reverse("admin:deployments_release_change", args=[obj.current_release.pk])
        return format_html('<a href="{}">{}</a>', there, version(obj.current_release))

    @admin.display(description="Drift", ordering="inspected_at")
    def shown_drift(self, obj: Server) -> str:
        """What the last comparison with its record found, and how long ago."""
        if obj.inspected_at is None:
            return labels.NONE
        count = len(obj.open_drift)
        found = labels.status("waiting", f"differs, {plural(count, 'thing')}") if count else "none"
        return format_html('{} <span class="cy-muted">{}</span>', found, labels.moment(obj.inspected_at))

    @admin.display(description="Address", ordering="host")
    def shown_host(self, obj: Server) -> str:
        """Where it is reached, and what for."""
        return format_html('{} <span class="cy-muted">{}</span>', obj.host, ", ".join(obj.roles))

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        """The page."""
        server = context.get("original")
        if server is not None:
            context |= server_page(request, server, context["portal_actions"])
        return super().render_change_form(request, context, *args, **kwargs)

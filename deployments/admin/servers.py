"""Servers: what the record says. They are enrolled, provisioned and rotated by management commands."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.utils.html import format_html

from deployments.access.verbs import Verb
from deployments.admin import labels
from deployments.admin.base import PortalAdmin
from deployments.admin.confirmations import Confirmation
from deployments.admin.forms import PageForm, ReasonForm, switch
from deployments.admin.operations import Restart, Restore, RunCommand, Start, Stop
from deployments.core.actors import Actor
from deployments.models import Server
from deployments.servers.decommissioning import decommission_on_record, what_stays
from deployments.servers.drift_answers import accept_drift, put_back
from engine.ssh.keys import HostKey


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
    """Read-only, but for the end of a server's service."""

    confirmations = (Start(), Restart(), Stop(), RunCommand(), Restore(), PutBack(), AcceptDrift(), Decommission())
    list_display = ("name", "environment", "shown_state", "host", "shown_roles", "current_release", "inspected")
    list_filter = ("environment", "state")
    search_fields = ("name", "host", "fingerprint", "jump")
    list_select_related = ("environment", "current_release")
    fieldsets = (
        (None, {"fields": (("name", "environment"), ("shown_state", "shown_roles"), "order", "shown_stopped")}),
        ("Where", {"fields": (("host", "port"), "user", "fingerprint", "shown_jump")}),
        ("What runs there", {"fields": (("current_release", "previous_release"), "config_digest")}),
        (
            "What was found",
            {"fields": (("provisioned_at", "inspected_at"), "shown_facts", "shown_readiness", "shown_drift")},
        ),
        ("What it has", {"fields": ("shown_units", "shown_secrets")}),
    )
    readonly_fields = (
        "shown_state",
        "shown_jump",
        "shown_stopped",
        "shown_roles",
        "shown_facts",
        "shown_readiness",
        "shown_drift",
        "shown_units",
        "shown_secrets",
    )

    def audit_subject(self, obj: Server) -> str:
        """`server:prod-1`."""
        return f"server:{obj.name}"

    @admin.display(description="State", ordering="state")
    def shown_state(self, obj: Server) -> str:
        """In colour."""
        return labels.status(obj.state, obj.get_state_display())

    @admin.display(description="By way of")
    def shown_jump(self, obj: Server) -> str:
        """The jump host, and the key that it has to show."""
        if not obj.jump:
            return "directly"
        return f"{obj.jump}, whose host key is {HostKey.parse(obj.jump_host_key).fingerprint}"

    @admin.display(description="Stopped")
    def shown_stopped(self, obj: Server) -> str:
        """By whom and why."""
        return obj.stopped_words or "–"

    @admin.display(description="Roles")
    def shown_roles(self, obj: Server) -> str:
        """Comma-separated."""
        return ", ".join(obj.roles) or "–"

    @admin.display(description="Inspected", ordering="inspected_at")
    def inspected(self, obj: Server) -> str:
        """How long ago."""
        return labels.moment(obj.inspected_at)

    @admin.display(description="Facts")
    def shown_facts(self, obj: Server) -> str:
        """What provisioning found."""
        return _table(obj.facts)

    @admin.display(description="Rollback readiness")
    def shown_readiness(self, obj: Server) -> str:
        """Whether the rollback target is whole."""
        return _table(obj.readiness)

    @admin.display(description="Drift")
    def shown_drift(self, obj: Server) -> str:
        """How the host differs from this record."""
        said = dict.fromkeys(obj.open_drift, "differs")
        return _table({**said, **dict.fromkeys(obj.drift.get("accepted", []), "accepted")})

    @admin.display(description="Unit files")
    def shown_units(self, obj: Server) -> str:
        """Digest by name."""
        return _table({name: digest[:16] for name, digest in obj.unit_files.items()})

    @admin.display(description="Secrets")
    def shown_secrets(self, obj: Server) -> str:
        """Version by name; values are never shown."""
        return _table({name: f"version {version}" for name, version in obj.secret_versions.items()})


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {inner}" for key, inner in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _table(facts: dict[str, Any]) -> str:
    if not facts:
        return "–"
    rows = [
        format_html("<div><dt>{}</dt><dd>{}</dd></div>", key, _shown(value)) for key, value in sorted(facts.items())
    ]
    return format_html('<dl class="cy-facts cy-plain-facts">{}</dl>', format_html("{}" * len(rows), *rows))

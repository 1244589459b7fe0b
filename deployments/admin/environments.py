"""Environments: how they stand, and their configuration."""

import json
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html
from unfold.widgets import UnfoldAdminTextareaWidget

from deployments.admin import labels, trail
from deployments.admin.actors import actor_of
from deployments.admin.base import PortalAdmin
from deployments.admin.environment_actions import (
    ChangePolicy,
    Lock,
    RequestDeployment,
    RollBackEnvironment,
    Unlock,
    Verify,
)
from deployments.admin.forms import ModelForm
from deployments.core import selectors
from deployments.environments.settings import EDITABLE, configure_environment
from deployments.models import Environment, Server


class PrettyJSONField(forms.JSONField):
    """JSON as people write it."""

    def prepare_value(self, value: Any) -> Any:
        """Indented."""
        if isinstance(value, dict):
            return json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True)
        return super().prepare_value(value)


class EnvironmentForm(ModelForm[Environment]):
    """What is edited on the page."""

    configuration = PrettyJSONField(
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 10, "spellcheck": "false"}),
        help_text='Values laid over the release\'s configuration files: {"bot.json": {"domain": "…"}}. '
        "They reach servers with the next deployment, which shows them to whoever approves.",
    )

    class Meta:
        model = Environment
        fields = EDITABLE

    def clean_configuration(self) -> Any:
        """An empty field is an empty table."""
        return self.cleaned_data["configuration"] or {}


WRITTEN: Any = {"fields": ("configuration",)}
READ: Any = {"fields": ("shown_configuration",)}


@admin.register(Environment)
class EnvironmentAdmin(PortalAdmin[Environment]):
    """The page edits configuration and bake; everything else is an action."""

    confirmations = (RequestDeployment(), RollBackEnvironment(), Verify(), Lock(), Unlock(), ChangePolicy())
    form = EnvironmentForm
    change_verb = "configure"
    list_display = ("name", "shown_live", "shown_state", "approvals_required", "shown_servers")
    search_fields = ("name", "application")
    readonly_fields = (
        "name",
        "application",
        "approvals_required",
        "approval_hours",
        "signed_approvals",
        "shown_lock",
        "shown_configuration",
        "fence",
        "public_key",
        "rotation",
    )
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("name", "application"),
                    ("approvals_required", "approval_hours", "signed_approvals"),
                    "shown_lock",
                )
            },
        ),
        ("Configuration", WRITTEN),
        ("After a deployment", {"fields": (("bake_seconds", "bake_action"), "order")}),
        ("For servers", {"fields": ("public_key", "rotation", "fence")}),
    )

    def get_fieldsets(self, request: HttpRequest, obj: Environment | None = None) -> Any:
        """Who may not edit the configuration reads it as text: unfold's colours are styles that the policy refuses."""
        if self.has_change_permission(request, obj):
            return self.fieldsets
        return [(name, READ if each == WRITTEN else each) for name, each in self.fieldsets]

    def audit_subject(self, obj: Environment) -> str:
        """`environment:production`."""
        return f"environment:{obj.name}"

    def save_model(self, request: HttpRequest, obj: Environment, form: ModelForm[Environment], change: bool) -> None:
        """Through the service."""
        changed = {name: form.cleaned_data[name] for name in form.changed_data}
        if changed:
            configure_environment(actor=actor_of(request), environment=obj, changes=changed)

    @admin.display(description="Runs")
    def shown_live(self, obj: Environment) -> str:
        """The live release."""
        return str(selectors.live_release(obj) or "–")

    @admin.display(description="State")
    def shown_state(self, obj: Environment) -> str:
        """Locked, busy or idle."""
        if obj.locked:
            return labels.status("interrupted", "Locked")
        if active := selectors.active_deployment(obj):
            return labels.status(active.status, active.get_status_display())
        return labels.status("expired", "Idle")

    @admin.display(description="Servers")
    def shown_servers(self, obj: Environment) -> str:
        """Their names."""
        in_service = [server.name for server in obj.servers.all() if server.state != Server.State.RETIRED]
        return ", ".join(in_service) or "–"

    @admin.display(description="Configuration")
    def shown_configuration(self, obj: Environment) -> str:
        """As people write it."""
        return format_html('<pre class="cy-data" tabindex="0">{}</pre>', trail.pretty(obj.configuration))

    @admin.display(description="Lock")
    def shown_lock(self, obj: Environment) -> str:
        """Who, when and why."""
        if obj.locked_at is None:
            return "Not locked"
        return f"Locked by {obj.locked_by}, {obj.locked_at:%Y-%m-%d %H:%M} UTC: {obj.lock_reason}"

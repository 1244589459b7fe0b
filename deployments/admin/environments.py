"""Environments: how they stand, and their configuration."""

import json
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import Prefetch, prefetch_related_objects
from django.forms.fields import InvalidJSONInput
from django.http import HttpRequest
from django.utils.html import format_html
from unfold.widgets import UnfoldAdminTextareaWidget

from deployments.access.verbs import Verb
from deployments.admin import event_display, labels
from deployments.admin.actors import actor_of
from deployments.admin.environment_actions import (
    ChangePolicy,
    Lock,
    RollBackEnvironment,
    Unlock,
    Verify,
)
from deployments.admin.environment_names import NewEnvironmentForm, Rename, Retire
from deployments.admin.environment_page import environment_page
from deployments.admin.forms import ModelForm
from deployments.admin.page_and_form import PageAndForm
from deployments.admin.request_deployment import RequestDeployment
from deployments.admin.secrets import SetSecret
from deployments.environments import registry
from deployments.environments.settings import EDITABLE, check_configuration, configure_environment
from deployments.models import Environment, Server
from deployments.requests.environment_status import EnvironmentStatus, environment_statuses
from engine.artifacts.errors import BadConfiguration
from engine.artifacts.json_input import line_of, read_typed


class PrettyJSONField(forms.JSONField):
    """JSON as people write it, and as they wrote it when it is refused."""

    def to_python(self, value: Any) -> Any:
        """The table. A mistake is told with its line; nothing at all is one."""
        text = str(value or "")
        if not text.strip():
            raise ValidationError("The field is empty: write {} to take every value away.")
        try:
            return read_typed(text)
        except ValueError as error:
            raise ValidationError(str(error)) from error

    def bound_data(self, data: Any, initial: Any) -> Any:
        """What was typed, so that the line that is named is that line."""
        return InvalidJSONInput(data or "")

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
        """What a release could use."""
        value = self.cleaned_data["configuration"]
        try:
            if value != self.instance.configuration:
                check_configuration(self.instance, value)
        except BadConfiguration as error:
            line = line_of(self["configuration"].data, error.place)
            raise ValidationError(f"Line {line}: {error}" if line else str(error)) from error
        return value


def _standing(environment: Environment) -> EnvironmentStatus:
    """As the list has read it for all of its page."""
    known: EnvironmentStatus | None = getattr(environment, "standing", None)
    return known or environment_statuses([environment])[environment.pk]


WRITTEN: Any = {"fields": ("configuration",)}
READ: Any = {"fields": ("shown_configuration",)}


@admin.register(Environment)
class EnvironmentAdmin(PageAndForm[Environment]):
    """The page edits configuration and bake; everything else is an action."""

    confirmations = (
        RequestDeployment(),
        RollBackEnvironment(),
        Verify(),
        Lock(),
        Unlock(),
        SetSecret(),
        ChangePolicy(),
        Rename(),
        Retire(),
    )
    form = EnvironmentForm
    page_template = "deployments/admin/environment.html"
    add_verb = Verb.MANAGE_ENVIRONMENTS
    change_verb = Verb.CONFIGURE
    list_display = ("shown_name", "application", "shown_live", "shown_state", "approvals_required", "shown_servers")
    search_fields = ("name", "application")
    readonly_fields = ("shown_configuration",)
    fieldsets = (
        ("Configuration", WRITTEN),
        ("During a deployment", {"fields": ("batch",)}),
        ("After a deployment", {"fields": (("bake_seconds", "bake_action"), "order")}),
    )

    def page(self, request: HttpRequest, obj: Environment, actions: list[dict[str, Any]]) -> dict[str, Any]:
        """How it stands, and its policy and configuration in words."""
        return environment_page(request, obj, actions)

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """The list, with the servers' names and how each environment on its page stands."""
        changes = super().get_changelist_instance(request)
        servers = Server.objects.only("name", "state", "environment").order_by("order", "name")
        prefetch_related_objects(list(changes.result_list), Prefetch("servers", servers))
        found = environment_statuses(list(changes.result_list))
        for row in changes.result_list:
            row.standing = found[row.pk]
        return changes

    def get_fieldsets(self, request: HttpRequest, obj: Environment | None = None) -> Any:
        """Who may not edit the configuration reads it as text: unfold's colours are styles that the policy refuses."""
        if obj is None:
            return [(None, {"fields": NewEnvironmentForm.Meta.fields})]
        if self.has_change_permission(request, obj):
            return self.fieldsets
        return [(name, READ if each == WRITTEN else each) for name, each in self.fieldsets]

    def get_readonly_fields(self, request: HttpRequest, obj: Environment | None = None) -> Any:
        """A new one has nothing to read yet."""
        return super().get_readonly_fields(request, obj) if obj else ()

    def get_form(
        self, request: HttpRequest, obj: Environment | None = None, change: bool = False, **kwargs: Any
    ) -> type[ModelForm[Environment]]:
        """Another form for a new one."""
        if obj is None:
            kwargs["form"] = NewEnvironmentForm
        return super().get_form(request, obj, change, **kwargs)

    def audit_subject(self, obj: Environment) -> str:
        """`environment:production`."""
        return f"environment:{obj}"

    def save_model(self, request: HttpRequest, obj: Environment, form: ModelForm[Environment], change: bool) -> None:
        """Through the service."""
        if not change:
            given = form.cleaned_data
            obj.pk = registry.add_environment(
                actor=actor_of(request),
                application=given["application"],
                name=given["name"],
                approvals=given["approvals_required"],
            ).pk
            return
        changed = {name: form.cleaned_data[name] for name in form.changed_data}
        if changed:
            configure_environment(actor=actor_of(request), environment=obj, changes=changed)

    @admin.display(description="Name", ordering="name")
    def shown_name(self, obj: Environment) -> str:
        """What it is called."""
        return str(obj)

    @admin.display(description="Runs")
    def shown_live(self, obj: Environment) -> str:
        """The live release."""
        return str(_standing(obj).live or labels.NONE)

    @admin.display(description="State")
    def shown_state(self, obj: Environment) -> str:
        """Locked, under maintenance, busy or idle."""
        if obj.retired:
            return labels.status("expired", "Retired")
        if obj.locked:
            return labels.status("interrupted", "Locked")
        if _standing(obj).maintenance:
            return labels.status("interrupted", "Maintenance")
        if active := _standing(obj).active:
            return labels.status(active.status, active.get_status_display())
        return labels.status("expired", "Idle")

    @admin.display(description="Servers")
    def shown_servers(self, obj: Environment) -> str:
        """Their names."""
        in_service = [server.name for server in obj.servers.all() if server.state != Server.State.RETIRED]
        return ", ".join(in_service) or labels.NONE

    @admin.display(description="Configuration")
    def shown_configuration(self, obj: Environment) -> str:
        """As people write it."""
        return format_html('<pre class="cy-data" tabindex="0">{}</pre>', event_display.pretty(obj.configuration))

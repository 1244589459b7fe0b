"""Workflows on GitHub that get a token here without storing one."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminTextInputWidget

from deployments.access.verbs import Verb
from deployments.admin import labels
from deployments.admin.actors import actor_of
from deployments.admin.base import PortalAdmin
from deployments.admin.confirmations import Confirmation
from deployments.admin.forms import ModelForm
from deployments.core.actors import Actor
from deployments.github.bindings import SCOPES, bind_workflow, end_binding
from deployments.models import Scope, WorkflowBinding

_CLAIMS = ("repository", "repository_id", "ref", "github_environment", "workflow")


class BindingForm(ModelForm[WorkflowBinding]):
    """Claims, and what a run that has all of them may do."""

    scopes = forms.MultipleChoiceField(
        choices=[(scope.value, scope.label) for scope in SCOPES],
        widget=forms.CheckboxSelectMultiple(attrs={"class": "cy-checks"}),
        help_text="As far as whoever started the run may use them: their account on GitHub, linked to theirs here.",
    )

    class Meta:
        model = WorkflowBinding
        fields = ("name", *_CLAIMS, "environment", "scopes")
        widgets = {  # noqa: RUF012  (Django's attribute)
            "repository_id": UnfoldAdminIntegerFieldWidget(),
            **{
                name: UnfoldAdminTextInputWidget()
                for name in ("name", "repository", "ref", "github_environment", "workflow")
            },
        }


class Unbind(Confirmation[WorkflowBinding]):
    """At once."""

    slug = "unbind"
    label = "Unbind"
    icon = "link_off"
    tone = "bad"
    verb = Verb.MANAGE_TOKENS

    def offered(self, obj: WorkflowBinding, actor: Actor) -> bool:
        """Until it is."""
        return obj.ended_at is None

    def consequences(self, obj: WorkflowBinding) -> Sequence[str]:
        """What happens."""
        return [
            f"Runs of {obj.repository} get no token by it any more, and those that they have end now.",
            "This cannot be undone; it can be bound again.",
        ]

    def perform(self, *, actor: Actor, obj: WorkflowBinding, data: dict[str, Any]) -> str:
        """End it."""
        end_binding(actor=actor, binding=obj)
        return f"{obj} gets no token any more."


@admin.register(WorkflowBinding)
class WorkflowAdmin(PortalAdmin[WorkflowBinding]):
    """Bound and unbound, never edited: what a token rests on stays what it was."""

    confirmations = (Unbind(),)
    add_verb = Verb.MANAGE_TOKENS
    added = "Add a workflow"
    form = BindingForm
    list_display = ("name", "repository", "ref", "github_environment", "environment", "shown_scopes", "shown_state")
    list_filter = ("environment",)
    list_select_related = ("environment",)
    fields = (
        "name",
        ("repository", "repository_id"),
        "ref",
        ("github_environment", "workflow"),
        "environment",
        "scopes",
    )
    readonly_fields = ("shown_scopes", "shown_state")

    def audit_subject(self, obj: WorkflowBinding) -> str:
        """`workflow:3`."""
        return f"workflow:{obj.pk}"

    def get_fields(self, request: HttpRequest, obj: WorkflowBinding | None = None) -> Any:
        """What it was bound with, and since when."""
        if obj is None:
            return self.fields
        return (*self.fields[:-1], "shown_scopes", "shown_state", ("created_by", "created_at", "ended_at"))

    def save_model(
        self, request: HttpRequest, obj: WorkflowBinding, form: ModelForm[WorkflowBinding], change: bool
    ) -> None:
        """Through the service."""
        given = {name: form.cleaned_data[name] for name in ("name", *_CLAIMS, "environment")}
        scopes = [Scope(scope) for scope in form.cleaned_data["scopes"]]
        obj.pk = bind_workflow(actor=actor_of(request), scopes=scopes, **given).pk

    @admin.display(description="May")
    def shown_scopes(self, obj: WorkflowBinding) -> str:
        """Its scopes."""
        return ", ".join(obj.scopes)

    @admin.display(description="State")
    def shown_state(self, obj: WorkflowBinding) -> str:
        """Bound, or not any more."""
        return labels.status(*(("succeeded", "Bound") if obj.ended_at is None else ("expired", "Unbound")))

"""Environments come and go here: a form for a new one, and the actions that rename, retire and delete one."""

from collections.abc import Sequence
from typing import Any

from django import forms
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminTextInputWidget

from deployments.access.verbs import Verb
from deployments.admin.confirmations import Confirmation, Made
from deployments.admin.forms import ModelForm, PageForm, ReasonForm, word
from deployments.core.actors import Actor
from deployments.environments import registry
from deployments.environments.policy_floors import first_policy
from deployments.models import Environment, Server
from deployments.models.applications import name_validator
from engine.errors import PortalError


class NewEnvironmentForm(ModelForm[Environment]):
    """Application, name, and how many approvals it asks for."""

    application = forms.CharField(
        max_length=31,
        validators=[name_validator],
        widget=UnfoldAdminTextInputWidget(),
        help_text="The name in its deploy.toml.",
    )
    approvals_required = forms.IntegerField(
        required=False,
        min_value=0,
        max_value=10,
        widget=UnfoldAdminIntegerFieldWidget(),
        help_text="Empty: as many as the strictest environment of the application, which is also the least.",
    )

    class Meta:
        model = Environment
        fields = ("application", "name", "approvals_required")
        widgets = {"name": UnfoldAdminTextInputWidget()}  # noqa: RUF012  (Django's attribute)

    def clean(self) -> dict[str, Any]:
        """Below the least, said beside the field."""
        given = super().clean() or self.cleaned_data
        try:
            first_policy(given.get("application", ""), given.get("approvals_required"))
        except PortalError as error:
            self.add_error("approvals_required", str(error))
        return given


class NameForm(PageForm):
    """The new name."""

    name = word("New name", help_text="Lower-case letters, digits and hyphens.")


class Rename(Confirmation[Environment]):
    """Another name for the same environment."""

    slug = "rename"
    label = "Rename"
    icon = "edit"
    verb = Verb.MANAGE_ENVIRONMENTS
    form_class = NameForm

    def consequences(self, obj: Environment) -> Sequence[str]:
        """What stays and what does not."""
        return [
            "What it ran, its servers, keys, secrets, tokens and history stay.",
            "Commands and addresses take the new name from then on; a request that waits for approval there loses its "
            "seal.",
            "It then asks for as many approvals as the strictest environment of its application; fewer is a change of "
            "policy, to which a second person agrees.",
        ]

    def perform(self, *, actor: Actor, obj: Environment, data: dict[str, Any]) -> Made:
        """Rename it."""
        before = str(obj)
        registry.rename_environment(actor=actor, environment=obj, name=data["name"])
        return Made(f"{before} is called {obj} now.", obj)


class Retire(Confirmation[Environment]):
    """Kept for its history alone."""

    slug = "retire"
    label = "Retire"
    icon = "archive"
    tone = "bad"
    verb = Verb.MANAGE_ENVIRONMENTS
    form_class = ReasonForm

    def offered(self, obj: Environment, actor: Actor) -> bool:
        """Where nothing is in service."""
        return not obj.retired and not obj.servers.exclude(state=Server.State.RETIRED).exists()

    def consequences(self, obj: Environment) -> Sequence[str]:
        """What nobody can do any more."""
        return [f"Nothing is deployed to {obj} or enrolled there any more. Its history and its name are kept."]

    def perform(self, *, actor: Actor, obj: Environment, data: dict[str, Any]) -> str:
        """Retire it."""
        registry.retire_environment(actor=actor, environment=obj, reason=data["reason"])
        return f"{obj} is retired."

"""Secrets of an environment: which there are, and the form that sets one. No page shows a value."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.http import HttpRequest

from deployments.access.verbs import Verb
from deployments.admin.confirmations import Confirmation
from deployments.admin.forms import PageForm, WriteOnly, switch, word
from deployments.core.actors import Actor
from deployments.environments.secrets import check_name, check_value, set_secret
from deployments.environments.stored_secrets import stored_secrets
from deployments.http.server_slots import server_slot
from deployments.models import Environment
from deployments.servers.credential_check import names_to_try, set_tried_secret
from engine.errors import PortalError

NAMES = "cy-secret-names"
"""The list of names that the field offers."""


class SecretForm(PageForm):
    """Name and value."""

    name = word("Name", help_text="As deploy.toml and the unit call it: lower-case letters, digits and hyphens.")
    value = forms.CharField(
        label="Value",
        strip=False,
        widget=WriteOnly(),
        help_text="Several lines are fine; one line break at the very end is left out. It is shown nowhere again.",
    )
    tried = switch("Try it first")

    def prepare(self) -> None:
        """Names that are known; trying where what is live can sign in."""
        self.fields["name"].widget.attrs |= {"list": NAMES, "autocomplete": "off", "spellcheck": "false"}
        names = names_to_try(self.subject) if isinstance(self.subject, Environment) else []
        self.fields["tried"].help_text = (
            f"For {' and '.join(names)}: what is live signs in with it, on a server of its own, and leaves; only what "
            "works is stored. An account that is in its room is not signed in a second time: then it says so."
        )
        if not names:
            del self.fields["tried"]

    def clean_name(self) -> str:
        """What may be one."""
        name: str = self.cleaned_data["name"]
        _checked(check_name, name)
        return name

    def clean_value(self) -> str:
        """As the command takes it; browsers end lines in two characters, files in one."""
        value: str = self.cleaned_data["value"].replace("\r\n", "\n").removesuffix("\n")
        _checked(check_value, value)
        return value


def _checked(check: Any, value: str) -> None:
    try:
        check(value)
    except PortalError as error:
        raise ValidationError(str(error)) from error


class SetSecret(Confirmation[Environment]):
    """A new secret, or another version of one: what `set_secret` does."""

    slug = "secret"
    label = "Set a secret"
    icon = "key"
    tone = "good"
    verb = Verb.SET_SECRET
    form_class = SecretForm
    template = "deployments/admin/secret.html"
    prefilled = ("name",)

    def offered(self, obj: Environment, actor: Actor) -> bool:
        """While it is in use."""
        return not obj.retired

    def title(self, obj: Environment) -> str:
        """Whose."""
        return f"Secrets of {obj}"

    def consequences(self, obj: Environment) -> Sequence[str]:
        """What becomes of it."""
        return [
            "It is stored encrypted as the next version, and delivered to every provisioned server at once.",
            "A service reads it when it starts: restart it, or deploy, and see that it works.",
            "A request that waits for approval there loses its seal.",
        ]

    def context(self, request: HttpRequest, obj: Environment) -> dict[str, Any]:
        """What is stored."""
        return {"secrets": stored_secrets(obj), "names_id": NAMES}

    def perform(self, *, actor: Actor, obj: Environment, data: dict[str, Any]) -> str:
        """Set it, tried or not."""
        keep = set_tried_secret if data.get("tried") else set_secret
        with server_slot():
            secret, servers = keep(actor=actor, environment=obj, name=data["name"], value=data["value"])
        reached = f"It is on {', '.join(servers)}." if servers else "No server is provisioned yet."
        return f"{secret.name} is version {secret.version}. {reached}"

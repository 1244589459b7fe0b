"""The form of a new API token: in whose name, for what, for how long."""

from typing import Any

from django import forms
from django.contrib.auth.models import User
from django.utils.html import format_html

from deployments.access.policy import MACHINES, may, usable_scopes
from deployments.access.tokens import MAX_DAYS
from deployments.access.verbs import PERSONAL, Verb
from deployments.admin.forms import PageForm, choice, number, word
from deployments.core.actors import Actor
from deployments.models import Environment, Scope, Server

_MACHINE = "machine"


class TokenForm(PageForm):
    """What the token may do, and for whom."""

    name = word("Name", help_text="What it is for, for example: GitHub Actions.", max_length=100)
    holder = choice("Acts for", help_text="What is done with it counts as done by them, and takes their roles.")
    environment = choice("Only for", required=False)
    scopes = forms.MultipleChoiceField(
        widget=forms.CheckboxSelectMultiple(attrs={"class": "cy-checks"}),
        help_text="Those that its owner's roles can use; they end with the roles. What needs a person (deploying, "
        "approving, administering, alerts in somebody's name) takes a token that the person made.",
    )
    days = number(
        "Valid for days",
        min_value=1,
        max_value=MAX_DAYS,
        initial=90,
        help_text=f"{MAX_DAYS} at most. It can be revoked at any time.",
    )

    def prepare(self) -> None:
        """Others' tokens are made by administrators only."""
        actor = self.actor
        if actor is None:
            return
        usable = usable_scopes(User.objects.filter(username=actor.identity).first())
        if may(actor, Verb.MANAGE_TOKENS):
            usable |= MACHINES | (frozenset(Scope) - PERSONAL)
            self._choices("holder", _holders(actor))
        else:
            del self.fields["holder"]
        self._choices("scopes", [(one.value, _words(one)) for one in Scope if one in usable])
        rows = [(str(row.pk), str(row)) for row in Environment.objects.all()]
        self._choices("environment", [("", "every environment"), *rows])

    def held_by(self, actor: Actor) -> tuple[User | None, Server | None]:
        """The person or the bot's server that was chosen: oneself where there is no choice, none for a machine."""
        kind, _, key = self.cleaned_data.get("holder", f"person:{actor.identity}").partition(":")
        person = User.objects.filter(username=key).first() if kind == "person" else None
        return person, Server.objects.filter(pk=key).first() if kind == "server" else None

    def _choices(self, name: str, choices: list[Any]) -> None:
        self.fields[name].choices = choices  # type: ignore[attr-defined]  # a ChoiceField


def _holders(actor: Actor) -> list[Any]:
    """Oneself first: a token is its maker's unless something else was chosen."""
    people = User.objects.filter(is_active=True).exclude(username=actor.identity).order_by("username")
    servers = Server.objects.exclude(state=Server.State.RETIRED).order_by("name")
    return [
        (f"person:{actor.identity}", f"{actor.identity} (you)"),
        (
            "Machines",
            [(_MACHINE, "a machine, no person"), *((f"server:{one.pk}", f"the bot on {one}") for one in servers)],
        ),
        ("Other people", [(f"person:{one}", one) for one in people.values_list("username", flat=True)]),
    ]


def _words(scope: Scope) -> str:
    return format_html("<span>{} <code>{}</code></span>", scope.label, scope.value)

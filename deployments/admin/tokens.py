"""API tokens: made on a page that shows the text once, revoked at any time."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone

from deployments.access.own_sessions import refuse_stale
from deployments.access.policy import MACHINES, may, usable_scopes
from deployments.access.tokens import MAX_DAYS, issue_token, revoke_token
from deployments.access.verbs import PERSONAL, Verb
from deployments.admin import labels
from deployments.admin.actors import actor_of
from deployments.admin.base import PortalAdmin
from deployments.admin.confirmations import Confirmation
from deployments.admin.forms import PageForm, choice, number, word
from deployments.core.actors import Actor
from deployments.models import ApiToken, Environment, Scope, Server
from engine.errors import PortalError

SCOPE_WORDS = {scope: scope.label for scope in Scope}


class TokenForm(PageForm):
    """What the token may do, and for whom."""

    name = word("Name", help_text="What it is for, for example: GitHub Actions.", max_length=100)
    owner = choice("Belongs to", required=False)
    server = choice("Speaks for the bot on", required=False)
    environment = choice("Only for", required=False)
    scopes = forms.MultipleChoiceField(
        choices=[(scope.value, words) for scope, words in SCOPE_WORDS.items()],
        widget=forms.CheckboxSelectMultiple(attrs={"class": "cy-checks"}),
        help_text="Those that its owner's roles can use; they end with the roles. What needs a person (deploying, "
        "approving, administering, alerts in somebody's name) takes a token that the person made.",
    )
    days = number("Valid for days", min_value=1, max_value=MAX_DAYS, initial=90)

    def prepare(self) -> None:
        """Others' tokens are made by administrators only."""
        actor = self.actor
        if actor is None:
            return
        if not may(actor, Verb.MANAGE_TOKENS):
            del self.fields["owner"], self.fields["server"]
        else:
            people = User.objects.filter(is_active=True).values_list("username", flat=True)
            names = [(name, name) for name in people if name != actor.identity]
            self._choices("owner", [(actor.identity, f"{actor.identity} (you)"), ("", "nobody"), *names])
            in_service = Server.objects.exclude(state=Server.State.RETIRED)
            self._choices("server", [("", "no bot"), *((str(row.pk), row.name) for row in in_service)])
        usable = usable_scopes(User.objects.filter(username=actor.identity).first())
        if may(actor, Verb.MANAGE_TOKENS):
            usable |= MACHINES | (frozenset(Scope) - PERSONAL)
        self._choices("scopes", [(scope.value, words) for scope, words in SCOPE_WORDS.items() if scope in usable])
        rows = [(str(row.pk), str(row)) for row in Environment.objects.all()]
        self._choices("environment", [("", "every environment"), *rows])

    def _choices(self, name: str, choices: list[tuple[str, str]]) -> None:
        self.fields[name].choices = choices  # type: ignore[attr-defined]  # a ChoiceField


class Revoke(Confirmation[ApiToken]):
    """At once."""

    slug = "revoke"
    label = "Revoke"
    icon = "block"
    tone = "bad"
    verb = Verb.OWN_TOKEN
    bulk = True

    def offered(self, obj: ApiToken, actor: Actor) -> bool:
        """Until it is; one's own, or any for an administrator."""
        mine = obj.owner is not None and obj.owner.get_username() == actor.identity
        return obj.revoked_at is None and (mine or may(actor, Verb.MANAGE_TOKENS))

    def consequences(self, obj: ApiToken) -> Sequence[str]:
        """What happens."""
        return [f"Whatever uses the token {obj.name} is refused from now on. This cannot be undone."]

    def perform(self, *, actor: Actor, obj: ApiToken, data: dict[str, Any]) -> str:
        """Revoke it."""
        revoke_token(actor=actor, token=obj)
        return f"The token {obj.name} is revoked."


@admin.register(ApiToken)
class TokenAdmin(PortalAdmin[ApiToken]):
    """Everyone sees their own tokens, administrators see all."""

    confirmations = (Revoke(),)
    add_verb = Verb.OWN_TOKEN
    list_display = ("name", "shown_prefix", "who", "shown_scopes", "shown_state", "used", "expires")
    list_filter = ("environment",)
    search_fields = ("name", "prefix", "owner__username", "server__name")
    list_select_related = ("owner", "server", "environment")
    fields = (
        ("name", "shown_prefix"),
        ("who", "environment"),
        "shown_scopes",
        ("shown_state", "used"),
        ("expires_at", "last_used_at", "revoked_at"),
        ("created_by", "created_at"),
    )
    readonly_fields = ("shown_prefix", "who", "shown_scopes", "shown_state", "used")

    def audit_subject(self, obj: ApiToken) -> str:
        """`token:7`."""
        return f"token:{obj.pk}"

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiToken]:
        """One's own, or all."""
        rows, actor = super().get_queryset(request), actor_of(request)
        return rows if may(actor, Verb.MANAGE_TOKENS) else rows.filter(owner__username=actor.identity)

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Make one and show its text, once."""
        actor = actor_of(request)
        if not self.has_add_permission(request):
            return HttpResponseRedirect(reverse("admin:deployments_apitoken_changelist"))
        form = TokenForm(request.POST if request.method == "POST" else None, actor=actor)
        error: PortalError | None = None
        made: dict[str, Any] = {}
        if request.method == "POST" and form.is_valid():
            try:
                refuse_stale(request)
                token, text = _issue(actor, form.cleaned_data)
                made = {"token": token, "text": str(text)}
            except PortalError as refused:
                error = refused
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "New API token",
            "form": form,
            "error": error,
            "back": reverse("admin:deployments_apitoken_changelist"),
            **made,
        }
        status = error.http_status if error else (422 if form.errors else 200)
        response = TemplateResponse(request, "deployments/admin/new_token.html", context, status=status)
        response["Cache-Control"] = "no-store"
        return response

    @admin.display(description="Begins with")
    def shown_prefix(self, obj: ApiToken) -> str:
        """To tell tokens apart."""
        return labels.code(f"{obj.prefix}…", length=20)

    @admin.display(description="Belongs to")
    def who(self, obj: ApiToken) -> str:
        """A person, a bot's server, or nobody."""
        return str(obj.owner or (f"bot on {obj.server}" if obj.server else "nobody"))

    @admin.display(description="May")
    def shown_scopes(self, obj: ApiToken) -> str:
        """Its scopes."""
        return ", ".join(obj.scopes)

    @admin.display(description="State")
    def shown_state(self, obj: ApiToken) -> str:
        """Valid, revoked or expired."""
        if obj.revoked_at is not None:
            return labels.status("expired", "Revoked")
        if obj.expires_at is not None and obj.expires_at <= timezone.now():
            return labels.status("expired", "Expired")
        return labels.status("succeeded", "Valid")

    @admin.display(description="Last used", ordering="last_used_at")
    def used(self, obj: ApiToken) -> str:
        """To the minute."""
        return labels.moment(obj.last_used_at) if obj.last_used_at else "never"

    @admin.display(description="Expires", ordering="expires_at")
    def expires(self, obj: ApiToken) -> str:
        """When."""
        return labels.moment(obj.expires_at) if obj.expires_at else "never"


def _issue(actor: Actor, given: dict[str, Any]) -> tuple[ApiToken, Any]:
    owner = given.get("owner", actor.identity)
    return issue_token(
        actor=actor,
        name=given["name"],
        scopes=[Scope(scope) for scope in given["scopes"]],
        owner=User.objects.filter(username=owner).first() if owner else None,
        server=Server.objects.filter(pk=given["server"]).first() if given.get("server") else None,
        environment=Environment.objects.filter(pk=given["environment"]).first() if given["environment"] else None,
        days=given["days"],
    )

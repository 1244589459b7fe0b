"""API tokens: made on a page that shows the text once, revoked at any time."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone

from deployments.access.own_sessions import refuse_stale
from deployments.access.policy import may
from deployments.access.tokens import issue_token, revoke_token
from deployments.access.verbs import Verb
from deployments.admin import labels
from deployments.admin.actors import actor_of
from deployments.admin.base import PortalAdmin
from deployments.admin.confirmations import Confirmation
from deployments.admin.token_form import TokenForm
from deployments.core.actors import Actor
from deployments.models import ApiToken, Environment, Scope
from engine.errors import PortalError

SOON = timedelta(days=14)
"""So long before its end a token is marked."""


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
    added = "Make an API token"
    list_display = ("name", "shown_state", "who", "shown_scopes", "shown_prefix", "used", "expires")
    list_filter = ("environment",)
    change_form_template = "deployments/admin/token.html"
    search_fields = ("name", "prefix", "owner__username", "server__name")
    list_select_related = ("owner", "server", "environment")
    fields = ()

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
                token, text = _issue(actor, form)
                made = {"token": token, "text": str(text), **_on_a_shell(token)}
            except PortalError as refused:
                error = refused
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"The token {made['token'].name}" if made else "Make an API token",
            "form": form,
            "error": error,
            "back": reverse("admin:deployments_apitoken_changelist"),
            **made,
        }
        status = error.http_status if error else (422 if form.errors else 200)
        response = TemplateResponse(request, "deployments/admin/new_token.html", context, status=status)
        response["Cache-Control"] = "no-store"
        return response

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        """The page."""
        token = context.get("original")
        if token is not None:
            tone, words = state_of(token)
            mine = token.owner is not None and token.owner.get_username() == actor_of(request).identity
            context |= {"token": token, "state": tone, "state_words": words, "holder": holder_of(token), "mine": mine}
            context |= _on_a_shell(token)
            context["scope_words"] = [(scope, Scope(scope).label) for scope in token.scopes if scope in Scope]
        return super().render_change_form(request, context, *args, **kwargs)

    @admin.display(description="Begins with")
    def shown_prefix(self, obj: ApiToken) -> str:
        """To tell tokens apart."""
        return labels.code(f"{obj.prefix}…", length=20)

    @admin.display(description="Acts for")
    def who(self, obj: ApiToken) -> str:
        """A person, a bot's server, or a machine."""
        return holder_of(obj)

    @admin.display(description="May")
    def shown_scopes(self, obj: ApiToken) -> str:
        """Its scopes, and where."""
        where = [f"in {obj.environment}"] if obj.environment else []
        return labels.pills([*map(labels.tag, obj.scopes), *where])

    @admin.display(description="State")
    def shown_state(self, obj: ApiToken) -> str:
        """Valid, about to expire, expired or revoked."""
        return labels.status(*state_of(obj))

    @admin.display(description="Last used", ordering="last_used_at")
    def used(self, obj: ApiToken) -> str:
        """To the minute."""
        return labels.moment(obj.last_used_at) if obj.last_used_at else "never"

    @admin.display(description="Expires", ordering="expires_at")
    def expires(self, obj: ApiToken) -> str:
        """When."""
        return labels.moment(obj.expires_at) if obj.expires_at else "never"


def state_of(token: ApiToken) -> tuple[str, str]:
    """Tone and word of how a token stands."""
    now = timezone.now()
    if token.revoked_at is not None:
        return "expired", "Revoked"
    if token.expires_at is not None and token.expires_at <= now:
        return "expired", "Expired"
    if token.expires_at is not None and token.expires_at <= now + SOON:
        return "waiting", "Expires soon"
    return "succeeded", "Valid"


def holder_of(token: ApiToken) -> str:
    """In whose name it acts."""
    return str(token.owner or (f"the bot on {token.server}" if token.server else "a machine"))


def _on_a_shell(token: ApiToken) -> dict[str, str]:
    """A call to try it with; nothing for one whose calls need a body that only its machine knows."""
    path = {"read": "/api/v1/deployments?limit=1", "metrics": "/metrics"}
    found = next((path[scope] for scope in path if scope in token.scopes), "")
    return {"example": f"{settings.PORTAL_URL}{found}" if found else ""}


def _issue(actor: Actor, form: TokenForm) -> tuple[ApiToken, Any]:
    given, (owner, server) = form.cleaned_data, form.held_by(actor)
    return issue_token(
        actor=actor,
        name=given["name"],
        scopes=[Scope(scope) for scope in given["scopes"]],
        owner=owner,
        server=server,
        environment=Environment.objects.filter(pk=given["environment"]).first() if given["environment"] else None,
        days=given["days"],
    )

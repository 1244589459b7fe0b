"""Repositories that tell of pushes, and what became of each push."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.text import Truncator
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminTextInputWidget

from deployments.access.verbs import Verb
from deployments.admin import labels
from deployments.admin.actors import actor_of
from deployments.admin.base import PortalAdmin
from deployments.admin.confirmations import Confirmation, Once, change_url, shown_once
from deployments.admin.forms import ModelForm
from deployments.core.actors import Actor
from deployments.models import Push, PushSource
from deployments.sources.registry import LONGEST_TOKEN, address_of, end_source, make_source

_GIVEN = ("name", "kind", "url", "ref", "environment")
_TONES = {"requested": "succeeded", "ignored": "expired", "failed": "failed", "queued": "queued", "building": "running"}


class SourceForm(ModelForm[PushSource]):
    """Where it is, and what follows it."""

    read_token = forms.CharField(
        label="Access token",
        required=False,
        max_length=LONGEST_TOKEN,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "off"}),
        help_text="For a private repository: one that may read it and nothing else. Stored encrypted, shown to nobody.",
    )

    class Meta:
        model = PushSource
        fields = _GIVEN
        widgets = {name: UnfoldAdminTextInputWidget() for name in ("name", "url", "ref")}  # noqa: RUF012  (Django's)


class End(Confirmation[PushSource]):
    """At once."""

    slug = "end"
    label = "End"
    icon = "link_off"
    tone = "bad"
    verb = Verb.MANAGE_TOKENS

    def offered(self, obj: PushSource, actor: Actor) -> bool:
        """Until it is."""
        return obj.ended_at is None

    def consequences(self, obj: PushSource) -> Sequence[str]:
        """What happens."""
        return [f"No push of {obj.url} is taken by it any more.", "This cannot be undone, and its name stays taken."]

    def perform(self, *, actor: Actor, obj: PushSource, data: dict[str, Any]) -> str:
        """End it."""
        end_source(actor=actor, source=obj)
        return f"{obj} takes no push any more."


@admin.register(PushSource)
class SourceAdmin(PortalAdmin[PushSource]):
    """Made and ended, never edited; the secret is shown once."""

    confirmations = (End(),)
    add_verb = Verb.MANAGE_TOKENS
    form = SourceForm
    list_display = ("name", "kind", "url", "ref", "environment", "shown_state")
    list_filter = ("environment",)
    list_select_related = ("environment",)
    fields = ("name", ("kind", "url"), ("ref", "environment"), "read_token")
    readonly_fields = ("shown_state", "address", "pushes")

    def audit_subject(self, obj: PushSource) -> str:
        """`source:bot-main`."""
        return f"source:{obj.name}"

    def get_fields(self, request: HttpRequest, obj: PushSource | None = None) -> Any:
        """What it was made with, and what became of its pushes."""
        if obj is None:
            return self.fields
        return (*self.fields[:-1], "address", ("shown_state", "pushes"), ("created_by", "created_at", "ended_at"))

    def save_model(self, request: HttpRequest, obj: PushSource, form: ModelForm[PushSource], change: bool) -> None:
        """Through the service."""
        given = {name: form.cleaned_data[name] for name in _GIVEN}
        made = make_source(actor=actor_of(request), access_token=form.cleaned_data["read_token"], **given)
        obj.pk, obj.secret = made.pk, made.secret

    def response_add(self, request: HttpRequest, obj: PushSource, post_url_continue: str | None = None) -> HttpResponse:
        """Its secret, this once."""
        sentences = (
            f"In {obj.get_kind_display()}, add a webhook for pushes to {address_of(obj)}, as application/json.",
            "Give it this secret. Copy it now: it is stored encrypted and not shown again.",
        )
        once = Once(f"The secret of {obj}", str.__str__(obj.secret), sentences)
        response = shown_once(self, request, once, change_url(obj))
        response["Cache-Control"] = "no-store"
        return response

    @admin.display(description="State")
    def shown_state(self, obj: PushSource) -> str:
        """Open, or ended."""
        return labels.status(*(("succeeded", "Open") if obj.ended_at is None else ("expired", "Ended")))

    @admin.display(description="Address of the webhook")
    def address(self, obj: PushSource) -> str:
        """Where deliveries go."""
        return address_of(obj)

    @admin.display(description="Pushes")
    def pushes(self, obj: PushSource) -> str:
        """The list of them."""
        where = reverse("admin:deployments_push_changelist")
        return format_html('<a href="{}?source__id__exact={}">All of its pushes</a>', where, obj.pk)


@admin.register(Push)
class PushAdmin(PortalAdmin[Push]):
    """Read-only: what was delivered, and what came of it."""

    list_display = ("received", "source", "ref", "shown_commit", "pushed_by", "shown_state", "shortly")
    list_filter = ("state", "source")
    list_select_related = ("source", "release", "deployment")
    fields = (
        ("source", "number"),
        ("ref", "commit"),
        ("pushed_by", "person"),
        ("shown_state", "sentence"),
        ("release", "deployment"),
        ("received_at", "taken_at", "ended_at"),
    )
    readonly_fields = ("shown_state",)

    @admin.display(description="Received", ordering="received_at")
    def received(self, obj: Push) -> str:
        """How long ago."""
        return labels.moment(obj.received_at)

    @admin.display(description="What came of it")
    def shortly(self, obj: Push) -> str:
        """How its sentence begins: a phone has room for two lines."""
        return Truncator(obj.sentence).chars(56)

    @admin.display(description="Commit")
    def shown_commit(self, obj: Push) -> str:
        """Its beginning."""
        return labels.code(obj.commit, length=10)

    @admin.display(description="State", ordering="state")
    def shown_state(self, obj: Push) -> str:
        """In colour."""
        return labels.status(_TONES[obj.state], obj.get_state_display())

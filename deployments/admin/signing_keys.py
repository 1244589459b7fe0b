"""Signing keys: added by their person, confirmed by a second one."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.widgets import UnfoldAdminTextareaWidget

from deployments.access.own_sessions import refuse_stale
from deployments.access.policy import may
from deployments.access.verbs import Verb
from deployments.admin import labels
from deployments.admin.actors import actor_of
from deployments.admin.base import PortalAdmin
from deployments.admin.confirmations import Confirmation, change_url
from deployments.admin.forms import PageForm, word
from deployments.admin.second_factors import codes_shown, person_of
from deployments.core.actors import Actor
from deployments.models import SigningKey
from deployments.people.second_factors import codes_if_none
from deployments.people.signing_keys import add_key, confirm_key, revoke_key
from engine.errors import PortalError

_TONES = {"waiting": "queued", "confirmed": "succeeded", "revoked": "expired"}
_SIGNS_IN = "It signs you in at once, alone or beside your password, which does not let you in alone any more."
_COUNTS = "What it approves counts once somebody else has compared its fingerprint with you and confirmed it."


class KeyForm(PageForm):
    """One's own public key."""

    name = word("Name", help_text="What holds it, for example: security key at home.", max_length=100)
    public_key = forms.CharField(
        label="Public key",
        max_length=4000,
        help_text="The content of the .pub file: a type, base64, perhaps a comment.",
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 4, "spellcheck": "false"}),
    )

    def clean_public_key(self) -> str:
        """A private one is not taken."""
        typed: str = self.cleaned_data["public_key"]
        if "PRIVATE KEY" in typed:
            raise forms.ValidationError("That is the private key, which stays with you. Paste the .pub file beside it.")
        return typed


class PasskeyForm(PageForm):
    """What the browser has made; its script fills in the rest."""

    name = word("Name", help_text="What holds it, for example: phone, or security key at home.", max_length=100)
    credential = forms.CharField(max_length=2000, widget=forms.HiddenInput)
    public_key = forms.CharField(max_length=1000, widget=forms.HiddenInput)


class FingerprintForm(PageForm):
    """What the key's person has read out."""

    fingerprint = word(
        "Fingerprint",
        max_length=80,
        help_text="As the person reads it to you: ssh-keygen -lf KEY.pub shows SHA256:….",
    )


class Confirm(Confirmation[SigningKey]):
    """It is theirs."""

    slug = "confirm"
    label = "Confirm"
    icon = "verified_user"
    tone = "good"
    verb = Verb.CONFIRM_KEY
    form_class = FingerprintForm

    def offered(self, obj: SigningKey, actor: Actor) -> bool:
        """While it waits, to anybody but its person."""
        return obj.state == "waiting" and obj.person not in actor.people

    def consequences(self, obj: SigningKey) -> Sequence[str]:
        """What confirming does."""
        return [
            f"Approvals signed with this key count as signed by {obj.person}.",
            "Compare on another way than this portal: in person, or by a call.",
        ]

    def perform(self, *, actor: Actor, obj: SigningKey, data: dict[str, Any]) -> str:
        """Confirm it."""
        confirm_key(actor=actor, key=obj, fingerprint=data["fingerprint"])
        return f"The key {obj} is confirmed."


class RevokeKey(Confirmation[SigningKey]):
    """For good."""

    slug = "revoke"
    label = "Revoke"
    icon = "block"
    tone = "bad"
    verb = Verb.CONFIRM_KEY

    def offered(self, obj: SigningKey, actor: Actor) -> bool:
        """One's own, or any for an administrator."""
        return obj.state != "revoked" and (obj.person in actor.people or may(actor, Verb.MANAGE_PEOPLE))

    def consequences(self, obj: SigningKey) -> Sequence[str]:
        """What revoking does."""
        said = [
            "Nothing it signs from now on counts, and requests that wait with its consent end. It never comes back."
        ]
        if obj.passkey:
            said.append(
                f"Where it is the last second factor of {obj.person} and somebody else ends it, password and single "
                "sign-on end too: an administrator then makes an invitation."
            )
        return said

    def perform(self, *, actor: Actor, obj: SigningKey, data: dict[str, Any]) -> str:
        """Revoke it."""
        revoke_key(actor=actor, key=obj)
        return f"The key {obj} is revoked."


@admin.register(SigningKey)
class SigningKeyAdmin(PortalAdmin[SigningKey]):
    """Read-only, with the confirmation."""

    confirmations = (Confirm(), RevokeKey())
    add_verb = Verb.OWN_KEY
    change_list_template = "deployments/admin/signing_keys.html"
    list_display = ("name", "person", "fingerprint", "shown_state", "confirmed_by")
    search_fields = ("name", "person", "fingerprint")
    fields = (
        ("name", "person"),
        "fingerprint",
        "public_key",
        ("added_by", "added_at"),
        ("confirmed_by", "confirmed_at"),
        ("revoked_by", "revoked_at"),
    )

    def audit_subject(self, obj: SigningKey) -> str:
        """Its person's."""
        return f"person:{obj.person}"

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Add one's own."""
        actor, back = actor_of(request), reverse("admin:deployments_signingkey_changelist")
        if not self.has_add_permission(request):
            return HttpResponseRedirect(back)
        by_browser = "passkey" in request.GET
        kind = PasskeyForm if by_browser else KeyForm
        form = kind(request.POST if request.method == "POST" else None, actor=actor)
        error: PortalError | None = None
        if request.method == "POST" and form.is_valid():
            try:
                refuse_stale(request)
                made = add_key(actor=actor, **form.cleaned_data)
                if by_browser and (codes := codes_if_none(actor=actor, person=person_of(request))):
                    return codes_shown(self.admin_site, request, codes, f"The passkey {made.name} signs you in.")
                return HttpResponseRedirect(change_url(made))
            except PortalError as refused:
                error = refused
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Your new passkey" if by_browser else "Your new signing key",
            "passkey": {"act": "create", "person": actor.identity} if by_browser else None,
            "consequences": [_SIGNS_IN, _COUNTS] if by_browser else [_COUNTS],
            "form": form,
            "error": error,
            "back": back,
            "confirmation": {"label": "Add key", "icon": "key", "tone": "good"},
        }
        status = error.http_status if error else (422 if form.errors else 200)
        return TemplateResponse(request, "deployments/admin/confirmation.html", context, status=status)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """With the way to a passkey."""
        offered = {"passkey_offered": self.has_add_permission(request)}
        return super().changelist_view(request, {**(extra_context or {}), **offered})

    @admin.display(description="State")
    def shown_state(self, obj: SigningKey) -> str:
        """In colour."""
        return labels.status(_TONES[obj.state], obj.state.capitalize())

"""Changing one's own password."""

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.models import User
from django.contrib.auth.password_validation import password_validators_help_text_html
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.widgets import UnfoldAdminPasswordWidget

from deployments.admin.actors import actor_of
from deployments.admin.forms import PageForm
from deployments.people.accounts import change_own_password
from engine.errors import PortalError


def _password(label: str, help_text: str = "") -> forms.CharField:
    widget = UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"})
    return forms.CharField(label=label, strip=False, widget=widget, help_text=help_text)


class OwnPasswordForm(PageForm):
    """A new password, twice; the old one proves who asks."""

    password = _password("New password", password_validators_help_text_html())
    again = _password("Repeat the password")

    old = forms.CharField(
        label="Old password",
        strip=False,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "current-password", "autofocus": True}),
    )
    field_order = ("old", "password", "again")

    def clean_again(self) -> str:
        """Both must be equal."""
        again: str = self.cleaned_data["again"]
        if self.cleaned_data.get("password") != again:
            raise forms.ValidationError("The two passwords differ.")
        return again


def view(site: AdminSite, request: HttpRequest, extra_context: dict[str, Any]) -> HttpResponse:
    """The page."""
    form = OwnPasswordForm(request.POST if request.method == "POST" else None)
    error: PortalError | None = None
    if request.method == "POST" and form.is_valid() and isinstance(request.user, User):
        given = form.cleaned_data
        try:
            change_own_password(
                actor=actor_of(request), person=request.user, old=given["old"], password=given["password"]
            )
        except PortalError as refused:
            error = refused
        else:
            update_session_auth_hash(request, request.user)
            messages.success(request, "Your password was changed. Other sessions of yours have ended.")
            return HttpResponseRedirect(reverse("admin:index"))
    context = {
        **site.each_context(request),
        **extra_context,
        "title": "Change your password",
        "form": form,
        "error": error,
        "back": reverse("admin:index"),
        "confirmation": {"label": "Change password", "icon": "password", "tone": "good"},
    }
    status = error.http_status if error else (422 if form.errors else 200)
    return TemplateResponse(request, "deployments/admin/confirmation.html", context, status=status)

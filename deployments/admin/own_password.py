"""Changing one's own password."""

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.widgets import UnfoldAdminPasswordWidget

from deployments.admin.actors import actor_of
from deployments.admin.people import PasswordForm
from deployments.people.accounts import change_own_password
from engine.errors import PortalError


class OwnPasswordForm(PasswordForm):
    """The old one proves who asks."""

    old = forms.CharField(
        label="Old password",
        strip=False,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "current-password", "autofocus": True}),
    )
    field_order = ("old", "password", "again")


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

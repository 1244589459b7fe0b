"""Pages of one's own account that set up an authenticator app and recovery codes, each shown once."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import segno
from django.contrib.admin import AdminSite
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse

from deployments.access.own_sessions import end_other_sessions, refuse_stale
from deployments.admin.actors import actor_of
from deployments.admin.forms import PageForm, word
from deployments.people.second_factors import begin_app, confirm_app, new_codes
from engine.errors import PortalError


class CodeForm(PageForm):
    """Proves that the app was set up."""

    code = word("Code", max_length=10, help_text="That the app shows now.")


def app_page(site: AdminSite, request: HttpRequest) -> HttpResponse:
    """Scan, and prove it by a code; then the recovery codes."""
    person = person_of(request)
    form = CodeForm(request.POST if request.method == "POST" else None)
    shown: dict[str, Any] = {"title": "Your authenticator app"}
    error: PortalError | None = None
    try:
        refuse_stale(request)
        address = begin_app(actor=actor_of(request), person=person)
        shown |= {"picture": segno.make(address, error="m").svg_data_uri(scale=5, border=4, light="#fff"), "form": form}
        shown["secret"] = parse_qs(urlsplit(address).query)["secret"][0]
        if request.method == "POST" and form.is_valid():
            codes = confirm_app(actor=actor_of(request), person=person, code=form.cleaned_data["code"])
            return codes_shown(site, request, codes, "Your authenticator app is set up.")
    except PortalError as refused:
        error = refused
    return _page(site, request, "deployments/admin/authenticator_app.html", error, **shown)


def codes_page(site: AdminSite, request: HttpRequest) -> HttpResponse:
    """New recovery codes instead of those there are."""
    try:
        refuse_stale(request)
        if request.method == "POST":
            codes = new_codes(actor=actor_of(request), person=person_of(request))
            return codes_shown(site, request, codes, "Codes that you had before do not work any more.")
    except PortalError as refused:
        return _page(site, request, "deployments/admin/recovery_codes.html", refused, title="Your recovery codes")
    return _page(
        site, request, "deployments/admin/recovery_codes.html", None, title="Your recovery codes", offered=True
    )


def codes_shown(site: AdminSite, request: HttpRequest, codes: list[str], said: str) -> HttpResponse:
    """The one time that codes are shown; whoever is signed in elsewhere signs in anew, with the second factor."""
    person = person_of(request)
    end_other_sessions(actor=actor_of(request), person=person, current_key=request.session.session_key)
    more = {"title": "Your recovery codes", "codes": codes, "said": said}
    return _page(site, request, "deployments/admin/recovery_codes.html", None, **more)


def person_of(request: HttpRequest) -> User:
    """Whoever is signed in."""
    if not isinstance(request.user, User):
        raise TypeError("the admin site lets in people only")
    return request.user


def _page(site: AdminSite, request: HttpRequest, template: str, error: PortalError | None, **more: Any) -> HttpResponse:
    context = {**site.each_context(request), "error": error, "back": reverse("admin:account"), **more}
    return TemplateResponse(request, template, context, status=error.http_status if error else 200)

"""Single sign-on: away to the issuer and back, to sign in or to link one's account there."""

from django.conf import settings
from django.contrib.admin import AdminSite
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from deployments.access import issuer
from deployments.access.own_sessions import begin_for_a_stranger, refuse_stale
from deployments.admin.actors import actor_of
from deployments.admin.sign_in import WRONG, first_step_done, onward_from
from deployments.core.texts import one_line
from deployments.models import SingleSignOn
from deployments.people.single_sign_on import Subject, link
from engine.errors import NotAllowed, PortalError

_AFTER = "_sign_on"


def away(site: AdminSite, request: HttpRequest) -> HttpResponse:
    """To the issuer; with `link` to link the account there to the one that is signed in here."""
    try:
        linking = "link" in request.GET and isinstance(request.user, User)
        if linking:
            refuse_stale(request)
        answer = issuer.sent_there(request) if issuer.is_set_up() else HttpResponseRedirect(reverse("admin:login"))
    except PortalError as error:
        return _refused(site, request, error)
    begin_for_a_stranger(request)
    request.session[_AFTER] = {"link": linking, "next": onward_from(request)}
    return answer


def back(site: AdminSite, request: HttpRequest) -> HttpResponse:
    """From the issuer: in, or on to a second factor; or, to link, on to a question that the issuer cannot answer."""
    after = request.session.get(_AFTER) or {}
    try:
        if request.method == "POST":
            return _linked(request, after)
        request.session.pop(_AFTER, None)
        claims = issuer.come_back(request)
        if after.get("link"):
            return _asked(site, request, claims)
        return _signed_in(request, claims, after.get("next") or reverse("admin:index"))
    except PortalError as error:
        return _refused(site, request, error)


def _signed_in(request: HttpRequest, claims: dict[str, str], onward: str) -> HttpResponse:
    linked = SingleSignOn.objects.filter(issuer=settings.OIDC_ISSUER, subject=claims["sub"]).first()
    if linked is None:
        raise NotAllowed(
            "No account here is linked to yours there.",
            hint="Sign in another way, and link it under Your account.",
            reason="not_linked",
        )
    person = authenticate(request, username=linked.person.get_username(), proven=claims)
    if not isinstance(person, User) or not person.is_staff:
        raise WRONG
    return first_step_done(request, person, by="single sign-on", onward=onward)


def _asked(site: AdminSite, request: HttpRequest, claims: dict[str, str]) -> HttpResponse:
    shown = one_line(str(claims.get("preferred_username") or claims.get("name") or claims["sub"]))[:255]
    request.session[_AFTER] = {"subject": claims["sub"], "shown": shown}
    return _page(site, request, None, shown=shown, issuer=settings.OIDC_ISSUER)


def _linked(request: HttpRequest, after: dict[str, str]) -> HttpResponse:
    """Asked for by a button of ours: else a page elsewhere could link its account to whoever is signed in here."""
    request.session.pop(_AFTER, None)
    refuse_stale(request)
    if not isinstance(request.user, User) or "subject" not in after:
        raise NotAllowed("There is nothing to link.", hint="Begin under Your account.")
    subject = Subject(settings.OIDC_ISSUER, after["subject"], after["shown"])
    link(actor=actor_of(request), person=request.user, subject=subject)
    return HttpResponseRedirect(reverse("admin:account"))


def _refused(site: AdminSite, request: HttpRequest, error: PortalError) -> HttpResponse:
    return _page(site, request, error)


def _page(site: AdminSite, request: HttpRequest, error: PortalError | None, **more: str) -> HttpResponse:
    context = {**site.each_context(request), "title": "Single sign-on", "error": error, **more}
    status = error.http_status if error else 200
    return TemplateResponse(request, "deployments/admin/single_sign_on.html", context, status=status)

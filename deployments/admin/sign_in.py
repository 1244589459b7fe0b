"""The pages that let people in: by password and second factor, or by a passkey alone."""

import secrets
from typing import Any, ClassVar

from django.conf import settings
from django.contrib.admin import AdminSite
from django.contrib.auth import authenticate, login
from django.contrib.auth.models import User
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.utils.http import url_has_allowed_host_and_scheme, urlencode
from unfold.forms import AuthenticationForm

from deployments.access import issuer, second_factor
from deployments.access.own_sessions import begin_for_a_stranger
from deployments.access.policy import roles_of
from deployments.models import SigningKey
from engine.errors import NotAllowed
from engine.passkeys import challenge_of

BACKEND = "django.contrib.auth.backends.ModelBackend"
_PENDING, _NONCE = "_first_step", "_nonce"
_PENDING_SECONDS = 300
WRONG = NotAllowed(
    "That did not let you in.", hint="Try again; after five failures a name is locked for a quarter of an hour."
)


class FirstStepForm(AuthenticationForm):  # type: ignore[misc]  # published without types
    """Name and password; whether that is enough is asked next."""

    error_messages: ClassVar[dict[str, str]] = {
        "invalid_login": "Name and password do not belong together, or the account is switched off or has no role. "
        "Upper and lower case count. After five failures a name is locked for a quarter of an hour.",
        "inactive": "This account is switched off. An administrator can switch it on again.",
    }

    def clean(self) -> dict[str, Any]:
        """As Django's, but open to people who have a second factor."""
        name, password = self.cleaned_data.get("username"), self.cleaned_data.get("password")
        if name is not None and password:
            self.user_cache = authenticate(self.request, username=name, password=password, first_step=True)
            if self.user_cache is None:
                raise self.get_invalid_login_error()
            self.confirm_login_allowed(self.user_cache)
        given: dict[str, Any] = self.cleaned_data
        return given


class FirstStep(LoginView):
    """Name and password."""

    template_name = "deployments/admin/sign_in.html"
    authentication_form = FirstStepForm

    def form_valid(self, form: Any) -> HttpResponse:
        """In, or on to the second step."""
        return first_step_done(self.request, form.get_user(), by="password", onward=self.get_success_url())


def first_step(site: AdminSite, request: HttpRequest) -> HttpResponseBase:
    """The page that asks for a password, and offers the other ways; whoever is in is sent on."""
    onward = onward_from(request)
    if request.method == "GET" and site.has_permission(request) and "again" not in request.GET:
        return HttpResponseRedirect(onward)
    context = {
        **site.each_context(request),
        "title": "Sign in",
        "app_path": request.get_full_path(),
        "onward": urlencode({"next": onward}),
        "next": onward,
        "sign_on": issuer.is_set_up(),
    }
    return FirstStep.as_view(extra_context=context, next_page=onward)(request)


def by_passkey(site: AdminSite, request: HttpRequest) -> HttpResponse:
    """A passkey and nothing else: the browser offers those it has for this portal."""
    error = None
    if request.method == "POST":
        key = SigningKey.objects.filter(credential=request.POST.get("credential") or "-").first()
        person = _signed(request, key.person if key else "")
        if person is not None and person.is_staff:
            return let_in(request, person, by="passkey", onward=onward_from(request))
        error = WRONG
    return _page(site, request, "Sign in with a passkey", error, passkey=_asked(request, ()))


def second_step(site: AdminSite, request: HttpRequest) -> HttpResponse:
    """What a password needs beside it: a passkey, a code of the app, or a recovery code."""
    pending = request.session.get(_PENDING, {})
    person = User.objects.filter(pk=pending.get("person"), is_active=True).first()
    if person is None or not _still_pending(person, pending):
        request.session.pop(_PENDING, None)
        return HttpResponseRedirect(reverse("admin:login"))
    error, name = None, person.get_username()
    if request.method == "POST":
        if code := request.POST.get("code", ""):
            found, by = authenticate(request, username=name, code=code[:100]), f"{pending['by']} and code"
        else:
            found, by = _signed(request, name), f"{pending['by']} and passkey"
        if isinstance(found, User):
            return let_in(request, found, by=by, onward=pending["next"])
        error = WRONG
    keys = second_factor.passkeys_of(name)
    passkey = _asked(request, [key.credential for key in keys]) if keys else None
    return _page(site, request, "One more step", error, passkey=passkey, asks_code=True)


def first_step_done(request: HttpRequest, person: User, *, by: str, onward: str) -> HttpResponse:
    """In, or on to the second step for whoever has a second factor."""
    if not second_factor.is_needed(person):
        return let_in(request, person, by=by, onward=onward)
    begin_for_a_stranger(request)
    request.session[_PENDING] = {
        "person": person.pk,
        "hash": person.get_session_auth_hash(),
        "at": timezone.now().timestamp(),
        "by": by,
        "next": onward,
    }
    return HttpResponseRedirect(reverse("admin:second_step"))


def let_in(request: HttpRequest, person: User, *, by: str, onward: str) -> HttpResponse:
    """Begin the session; every way in ends here."""
    for name in (_PENDING, _NONCE):
        request.session.pop(name, None)
    request.signed_in_by = by  # type: ignore[attr-defined]  # for the record (`own_sessions.how`)
    login(request, person, backend=BACKEND)
    return HttpResponseRedirect(onward if roles_of(person) else "/")


def _signed(request: HttpRequest, name: str) -> User | None:
    """Whose passkey has signed what this session asked for; each question is answered once."""
    nonce = request.session.pop(_NONCE, "")
    given = {field: request.POST.get(field, "")[:5000] for field in ("credential", "signature")}
    found = authenticate(
        request,
        username=name,
        credential=given["credential"],
        assertion=given["signature"] if nonce else "",
        text=_statement(nonce),
        origin=settings.PORTAL_URL,
    )
    return found if isinstance(found, User) else None


def _asked(request: HttpRequest, credentials: Any) -> dict[str, str]:
    """A new question for a passkey, which this session alone can answer."""
    begin_for_a_stranger(request)
    nonce = request.session[_NONCE] = secrets.token_urlsafe(32)
    return {"act": "sign", "challenge": challenge_of(_statement(nonce)), "credentials": " ".join(credentials)}


def _statement(nonce: str) -> str:
    """Another text than any consent: signing in approves nothing."""
    return f"cytube-ops sign-in\nportal {settings.PORTAL_URL}\nnonce {nonce}\n"


def _still_pending(person: User, pending: dict[str, Any]) -> bool:
    fresh = timezone.now().timestamp() - pending["at"] < _PENDING_SECONDS
    return fresh and constant_time_compare(pending["hash"], person.get_session_auth_hash())


def onward_from(request: HttpRequest) -> str:
    """Where somebody wanted to go, if that is here."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    safe = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure())
    return wanted if safe else reverse("admin:index")


def _page(site: AdminSite, request: HttpRequest, title: str, error: Any, **more: Any) -> HttpResponse:
    onward = onward_from(request)
    context = {**site.each_context(request), "title": title, "error": error, "onward": onward, **more}
    status = error.http_status if error else 200
    return TemplateResponse(request, "deployments/admin/second_step.html", context, status=status)

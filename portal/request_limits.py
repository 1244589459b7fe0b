"""How much, and how often: bounds of every request, before anything of it is parsed."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from deployments.access.sign_ins import counted_address
from deployments.http import limits
from deployments.http.problems import TooLarge, problem
from portal.incoming_requests import BODY_BYTES

UPLOAD = "/api/v1/releases"
FOR_TOKENS = ("/api/v1/", "/api/alerts/", "/api/prometheus/", "/metrics")
"""Whoever asks there without a token, or with none that is valid, has the limit of strangers."""
OPEN = ("/api/v1/docs", "/api/v1/openapi.json")
SIGN_INS = 10
"""A minute, of one visitor (`counted_address`)."""
ALL_SIGN_INS = 120
"""A minute, of all: each costs half a second of a processor."""
VISITS = 1200
"""Requests a minute, without a token, of one visitor; an open page asks again every few seconds."""
ALL_VISITS = 12000
"""The same, of all who bring no session."""


class Bounds:
    """Refuses what is too long, or comes too often. Tokens have limits of their own (`deployments.http.limits`)."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self._too_long(request) or self._too_often(request) or self.get_response(request)

    @staticmethod
    def _too_long(request: HttpRequest) -> HttpResponse | None:
        length = request.META.get("CONTENT_LENGTH") or "0"
        given = int(length) if length.isascii() and length.isdecimal() and len(length) < 19 else 0
        if given <= BODY_BYTES or (request.method == "POST" and request.path == UPLOAD):
            return None
        return problem(413, f"A request may have {BODY_BYTES} bytes here.", reason=TooLarge.reason)

    @staticmethod
    def _too_often(request: HttpRequest) -> HttpResponse | None:
        who = counted_address(request)
        local = who in ("", "127.0.0.1", "::")  # on this machine, with no proxy between: only counted together
        if _signs_in(request):
            kept = (local or limits.within(f"sign-in:{who}", SIGN_INS, everywhere=True)) and limits.within(
                "sign-ins", ALL_SIGN_INS, everywhere=True
            )
        elif request.path.startswith(FOR_TOKENS) and request.path not in OPEN:
            return None
        else:
            member = settings.SESSION_COOKIE_NAME in request.COOKIES or request.path == "/healthz"
            kept = (local or limits.within(f"visit:{who}", VISITS)) and (
                member or limits.within("visits", ALL_VISITS)  # people at work are not held up by strangers
            )
        return None if kept else _later(request)


def _signs_in(request: HttpRequest) -> bool:
    """Whether it tries to, or asks for a challenge, which is kept in a session."""
    pages = (reverse("admin:login"), reverse("invitation"))
    return request.path.startswith(pages) and (request.method == "POST" or request.path not in pages)


def _later(request: HttpRequest) -> HttpResponse:
    error = limits.TooManyRequests(limits.pause())
    if request.path.startswith("/api/"):
        response = problem(429, error.message, reason=error.reason, hint=error.hint)
    else:
        response = HttpResponse(f"{error}\n", status=429, content_type="text/plain; charset=utf-8")
    response["Retry-After"] = str(error.wait)
    return response

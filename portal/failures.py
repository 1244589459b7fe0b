"""What is answered when a request broke: a database that is away, or of an earlier version, is a sentence."""

import sys

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.defaults import server_error

from deployments.core import unmigrated
from deployments.http.problems import problem
from deployments.models.encryption import UndecryptableValue

_FOR_PROGRAMS = ("/api/", "/metrics", "/healthz")
_AGAIN_SECONDS = "5"
_LACKS_A_KEY = UndecryptableValue(
    "This machine lacks a key that the portal's secrets are encrypted with.",
    hint="Whoever runs it puts that key back into PORTAL_ENCRYPTION_KEYS here, and starts it again.",
)


def broken(request: HttpRequest) -> HttpResponse:
    """503 where the database is why, and 500 otherwise; never with an address or a traceback in it."""
    error = sys.exc_info()[1]
    why = _LACKS_A_KEY if isinstance(error, UndecryptableValue) else unmigrated.explained(error)
    if why is None:
        return server_error(request)
    if request.path.startswith(_FOR_PROGRAMS):
        response = problem(503, why.message, reason=why.reason, hint=why.hint)
    else:
        response = render(None, "503.html", {"why": why}, status=503)
    response["Retry-After"] = _AGAIN_SECONDS
    return response

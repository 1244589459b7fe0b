"""`/api/health`: one bot's health document, for anyone."""

import time

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from dashboard.health.shared_cache import Entry
from dashboard.services import proxy
from deployments.http.problems import from_portal_error
from engine.errors import NotFound


@require_safe
def bot_health(request: HttpRequest, name: str = proxy.PRODUCTION) -> HttpResponse:
    """The document of the server `name`, or of production; 503 when the bot is not in its room or out of reach."""
    try:
        return _present(proxy.answer(name))
    except NotFound as error:
        return from_portal_error(request, error)


def _present(entry: Entry) -> HttpResponse:
    response = HttpResponse(entry.body, status=entry.status, content_type="application/json", headers=entry.headers)
    since = entry.made if entry.heard is None else entry.heard
    response["Age"] = str(max(0, int(time.monotonic() - since)))
    response["Cache-Control"] = "no-store"
    # A bot that is away is no fault of the portal: without this, Django logs an error for every poll.
    response._has_been_logged = True  # type: ignore[attr-defined]  # Django's own mark, which its stubs leave out
    return response

"""What every answer carries: a content security policy, that nobody keeps a copy, one shape of failure under /api/."""

import logging
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from deployments.access import own_sessions
from deployments.core.disk_full import is_full
from deployments.http.problems import CONTENT_TYPE, from_portal_error, problem
from engine.errors import NotFound

logger = logging.getLogger(__name__)


class AdminContentSecurityPolicy:
    """Under /admin/ only: `unsafe-eval`, because Unfold's Alpine evaluates the expressions in its attributes.

    Nothing inline is allowed, neither scripts nor styles: Unfold 0.91's one inline style (its colours) is in our own
    sheet instead (`portal.site`), and htmx is told not to add one.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if request.path.startswith("/admin/"):
            response._csp_update = {"script-src": ["'unsafe-eval'"]}  # type: ignore[attr-defined]  # django-csp's hook
        return response


class NoRoom:
    """A change for which the disk has no room is one sentence (HTTP 507); nothing of it was kept."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    @staticmethod
    def process_exception(_request: HttpRequest, error: Exception) -> HttpResponse | None:
        """The answer, when that is what went wrong."""
        if not is_full(error):
            return None
        logger.error("the disk of the portal's state is full: %s", error)
        sentence = "The portal's disk is full: nothing was changed."
        return problem(507, sentence, reason="disk_full", hint="Make room, then do it again.")


class ApiProblems:
    """Under /api/ an address that is not there, or takes other methods, is answered with a problem document as well."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        unshaped = response.headers.get("Content-Type") != CONTENT_TYPE
        if not request.path.startswith("/api/") or not unshaped or response.status_code not in {404, 405}:
            return response
        if response.status_code == 404:
            error = NotFound("There is nothing at this address.", hint="/api/v1/docs lists every address.")
            return from_portal_error(request, error)
        taken = response.headers.get("Allow", "")
        sentence = f"This address does not take {(request.method or '')[:20]}."
        answer = problem(405, sentence, reason="method_not_allowed", hint=f"It takes {taken}.")
        answer["Allow"] = taken
        return answer


class NothingIsKept:
    """No browser and no proxy keeps an answer that does not say otherwise: pages, logs, exports and the API alike.

    Most are for members, and all are about now. Static files are served before this is asked.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.headers.setdefault("Cache-Control", "private, no-store")
        return response


class SessionsAreSeen:
    """Notes in a session when it was last used, for its owner's list."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        anybodys = "public" in response.headers.get("Cache-Control", "")  # a cache keeps it: with no cookie in it
        if settings.SESSION_COOKIE_NAME in request.COOKIES and not anybodys:
            own_sessions.seen(request)
        return response

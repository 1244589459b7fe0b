"""Bearer tokens for machine endpoints that are no part of the typed API."""

from collections.abc import Callable
from functools import wraps

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from deployments.http.auth import BearerToken, require_scope
from deployments.http.problems import from_portal_error
from deployments.models import Scope
from engine.errors import PortalError

View = Callable[[HttpRequest], HttpResponseBase]


def token_required(scope: Scope) -> Callable[[View], View]:
    """Answer only to a token with `scope`; every refusal is a problem document."""

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest) -> HttpResponseBase:
            try:
                token = BearerToken()(request)
                require_scope(token, scope)
                request.auth = token  # type: ignore[attr-defined]  # as ninja sets it (`auth.token_of`)
                return view(request)
            except PortalError as error:
                return from_portal_error(request, error)

        return guarded

    return decorate

"""Content security policy of the admin, which needs what the public pages never get."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse


class AdminContentSecurityPolicy:
    """Under /admin/ only: Unfold's Alpine evaluates expressions and sets inline styles (measured on unfold 0.91)."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if request.path.startswith("/admin/"):
            response._csp_update = {  # type: ignore[attr-defined]  # django-csp's documented hook
                "script-src": ["'unsafe-eval'", "'unsafe-inline'"],
                "style-src": ["'unsafe-inline'"],
            }
        return response

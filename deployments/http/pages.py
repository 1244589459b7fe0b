"""How a page is answered: whole or in part, and never kept by a cache."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


def present(request: HttpRequest, whole: str, part: str, context: dict[str, Any]) -> HttpResponse:
    """The whole page, or its live part when the script asks for it."""
    return uncached(render(request, part if request.GET.get("part") == "live" else whole, context))


def uncached(response: HttpResponse) -> HttpResponse:
    """Tell browsers and proxies to keep nothing: it is about now, and may be about a member."""
    response["Cache-Control"] = "private, no-store"
    return response

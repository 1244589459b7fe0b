"""How a page is answered: whole or in part, and never kept by a cache; or kept by a browser that asks each time."""

import hashlib
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.cache import get_conditional_response, patch_vary_headers
from django.utils.http import quote_etag


def present(request: HttpRequest, whole: str, part: str, context: dict[str, Any]) -> HttpResponse:
    """The whole page, or its live part when the script asks for it."""
    return uncached(render(request, part if request.GET.get("part") == "live" else whole, context))


def uncached(response: HttpResponse) -> HttpResponse:
    """Tell browsers and proxies to keep nothing: it is about now, and may be about a member."""
    response["Cache-Control"] = "private, no-store"
    return response


def revalidated(request: HttpRequest, response: HttpResponse) -> HttpResponseBase:
    """A page for strangers: their own browser keeps it and asks before each use; 304 while it is still the same."""
    etag = quote_etag(hashlib.sha256(response.content).hexdigest()[:32])
    response["ETag"] = etag
    response["Cache-Control"] = "private, no-cache"
    patch_vary_headers(response, ["Cookie"])
    return get_conditional_response(request, etag=etag, response=response) or response

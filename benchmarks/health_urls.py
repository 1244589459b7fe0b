"""The portal's URLs, and the constant view that the health proxy is measured against."""

from django.http import HttpRequest, JsonResponse
from django.urls import path

from benchmarks.health_proxy import DOCUMENT
from portal.urls import urlpatterns as portal_urls


def constant(_request: HttpRequest) -> JsonResponse:
    """The same document every time, from memory."""
    return JsonResponse(DOCUMENT)


urlpatterns = [path("api/constant", constant), *portal_urls]

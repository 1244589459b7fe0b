"""The portal's URLs, and the constant view that the health proxy is measured against."""

from django.http import HttpRequest, JsonResponse
from django.urls import path

from benchmarks.health_proxy import DOCUMENT
from portal import request_limits
from portal.urls import urlpatterns as portal_urls

request_limits.ALL_VISITS = 10**9  # counted as ever; but one measurement asks more than all strangers may in a minute


def constant(_request: HttpRequest) -> JsonResponse:
    """The same document every time, from memory."""
    return JsonResponse(DOCUMENT)


urlpatterns = [path("api/constant", constant), *portal_urls]

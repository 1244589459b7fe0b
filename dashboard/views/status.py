"""`/`: the status page, and the part of it that is fetched again while it is open."""

from typing import Any

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from dashboard.selectors.series import DEFAULT_RANGE, RANGES
from dashboard.selectors.status import Choice, page_settings, status
from dashboard.views.members import is_member


@require_safe
def status_page(request: HttpRequest) -> HttpResponseBase:
    """The status page. With `?part=live` only what changes, for the page's own script."""
    page = page_settings()
    members = is_member(request)
    if not page.public and not members:
        return redirect_to_login(request.get_full_path())
    now = timezone.now()
    context = {"status": status(page, choice_of(request), now, members=members), "now": now, "ranges": RANGES.values()}
    if members:
        context["links"] = {"prometheus": settings.PROMETHEUS_URL, "alertmanager": settings.ALERTMANAGER_URL}
    return present(request, "dashboard/status.html", "dashboard/status_live.html", context)


def choice_of(request: HttpRequest) -> Choice:
    """What the query string picks; what is not valid is the default."""
    query = request.GET
    page = query.get("page", "1")
    wanted = query.get("range", DEFAULT_RANGE)
    return Choice(
        environment=query.get("environment", "")[:31],
        page=int(page) if page.isascii() and page.isdecimal() and len(page) < 6 else 1,
        bot=query.get("bot", "")[:31],
        range=wanted if wanted in RANGES else DEFAULT_RANGE,
    )


def present(request: HttpRequest, whole: str, part: str, context: dict[str, Any]) -> HttpResponse:
    """The whole page, or its live part when the script asks for it."""
    response = render(request, part if request.GET.get("part") == "live" else whole, context)
    response["Cache-Control"] = "private, no-store"
    return response

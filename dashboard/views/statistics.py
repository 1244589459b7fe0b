"""`/statistics/`: how deploying goes in each environment, over the last weeks. For members."""

from django.core.paginator import Paginator
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from dashboard.selectors import statistics
from deployments.core.selectors import environments_called
from deployments.http.members import members_only
from deployments.http.pages import uncached
from deployments.models import Environment

PER_PAGE = 8


@require_safe
@members_only
def statistics_page(request: HttpRequest) -> HttpResponseBase:
    """Every environment in use, some on a page, or those of one name."""
    now = timezone.now()
    wanted = request.GET.get("environment", "").replace("\x00", "")[:63]
    there = Environment.objects.filter(retired_at=None)
    chosen = there.filter(pk__in=environments_called(wanted)) if wanted else there
    pages = Paginator(chosen.only("name", "application", "shared_name", "created_at"), PER_PAGE)
    page = pages.get_page(request.GET.get("page"))
    context = {
        "nav": "deployments",
        "now": now,
        "start": statistics.first_week(now),
        "weeks": statistics.WEEKS,
        "chosen": wanted,
        "environments": [str(row) for row in there.only("name", "application", "shared_name")],
        "page": page,
        "trends": statistics.trends(list(page.object_list), now),
    }
    return uncached(render(request, "dashboard/statistics.html", context))

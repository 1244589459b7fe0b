"""`/readiness/`: the scorecards, for people who are signed in."""

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from dashboard.readiness.rows import Verdict
from dashboard.readiness.scorecard import applications, counted, scorecards
from dashboard.selectors.status import page_settings
from dashboard.views.readiness_lines import cards
from deployments.http.members import members_only, signed_in

PER_PAGE = 8


@require_safe
@members_only
def readiness_page(request: HttpRequest) -> HttpResponse:
    """Computed now, from what was recorded and measured before; some applications on a page."""
    now = timezone.now()
    page = Paginator(applications(), PER_PAGE).get_page(request.GET.get("page"))
    found = scorecards(now, list(page.object_list))
    numbers = counted(found)
    context = {
        "nav": "readiness",
        "page": page_settings(),
        "shown": page,
        "cards": cards(found, signed_in(request)),
        "passing": numbers[Verdict.PASS],
        "failing": numbers[Verdict.FAIL],
        "unmeasured": numbers[Verdict.UNMEASURED],
        "total": sum(numbers.values()),
        "now": now,
    }
    return render(request, "dashboard/readiness.html", context)

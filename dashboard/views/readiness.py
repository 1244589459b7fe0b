"""`/readiness/`: the scorecards, for people who are signed in."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from dashboard.readiness.rows import Verdict
from dashboard.readiness.scorecard import counted, scorecards
from dashboard.selectors.status import page_settings
from dashboard.views.readiness_lines import cards
from deployments.http.members import members_only, signed_in


@require_safe
@members_only
def readiness_page(request: HttpRequest) -> HttpResponse:
    """Computed now, from what was recorded and measured before."""
    now = timezone.now()
    found = scorecards(now)
    numbers = counted(found)
    context = {
        "nav": "readiness",
        "page": page_settings(),
        "cards": cards(found, signed_in(request)),
        "passing": numbers[Verdict.PASS],
        "failing": numbers[Verdict.FAIL],
        "unmeasured": numbers[Verdict.UNMEASURED],
        "total": sum(numbers.values()),
        "now": now,
    }
    return render(request, "dashboard/readiness.html", context)

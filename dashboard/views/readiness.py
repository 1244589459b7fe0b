"""`/readiness/`: the ten facts, for people who are signed in."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from dashboard.selectors.status import page_settings
from dashboard.services.readiness import scorecard
from deployments.http.members import members_only


@require_safe
@members_only
def readiness_page(request: HttpRequest) -> HttpResponse:
    """The scorecard, computed now."""
    facts = scorecard(timezone.now())
    context = {
        "nav": "readiness",
        "page": page_settings(),
        "facts": facts,
        "holding": sum(fact.holds for fact in facts),
        "now": timezone.now(),
    }
    return render(request, "dashboard/readiness.html", context)

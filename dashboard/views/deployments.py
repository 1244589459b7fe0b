"""`/deployments/` and `/deployments/<id>/`, for members."""

from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from dashboard.selectors import history, log, progress
from dashboard.selectors.changes import changes
from dashboard.selectors.guidance import guidance, tone
from dashboard.selectors.statistics import DAYS, statistics
from deployments.core.selectors import expected_seconds
from deployments.http.members import members_only
from deployments.http.pages import present
from deployments.lifecycle import Kind, Status
from deployments.models import Deployment, Environment

_WITHOUT_SCRIPT = 200  # lines of the log that the page itself carries


@require_safe
@members_only
def history_page(request: HttpRequest) -> HttpResponseBase:
    """Past deployments with filters, and how deploying has gone."""
    wanted = history.Filter.parse(request.GET)
    now = timezone.now()
    query = request.GET.copy()
    query.pop("before", None)
    context = {
        "nav": "deployments",
        "now": now,
        "filter": wanted,
        "page": history.page(wanted),
        "statistics": statistics(wanted.environment, now),
        "days": DAYS,
        "environments": Environment.objects.values_list("name", flat=True),
        "statuses": Status.choices,
        "kinds": Kind.choices,
        "query": query.urlencode(),
    }
    return render(request, "dashboard/deployments.html", context)


@require_safe
@members_only
def deployment_page(request: HttpRequest, number: int) -> HttpResponseBase:
    """One deployment. With `?part=live` only what changes; the log has its own address."""
    deployment = progress.loaded(number)
    if deployment is None:
        raise Http404("There is no such deployment.")
    now = timezone.now()
    whole = request.GET.get("part") != "live"
    context = {
        "nav": "deployments",
        "now": now,
        "deployment": deployment,
        "run": progress.progress(deployment, now),
        "approvals": deployment.approvals.all(),
        "expected": expected_seconds(deployment.environment, Kind(deployment.kind)),
        "guidance": guidance(deployment),
        "tone": tone(deployment),
        "rollbacks": Deployment.objects.filter(rollback_of=deployment).only("pk", "status"),
    }
    if whole:
        context |= {"changes": changes(deployment), "log": log.last_lines(deployment, _WITHOUT_SCRIPT)}
    return present(request, "dashboard/deployment.html", "dashboard/deployment_live.html", context)

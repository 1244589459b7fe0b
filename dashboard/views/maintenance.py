"""`/maintenance/`: what is planned, under way and over; planning a window and ending one. For members."""

from typing import Any

from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from alerting import maintenance
from deployments.access.policy import may
from deployments.access.verbs import Verb
from deployments.core.moments import moment
from deployments.core.selectors import environment_named
from deployments.http.members import members_only, signed_in
from deployments.http.pages import uncached
from deployments.models import Environment, Maintenance
from engine.errors import PortalError

_OVER = 20


@members_only
def maintenance_page(request: HttpRequest) -> HttpResponseBase:
    """All that is not over, and the last that are. A form that is sent plans another one."""
    if request.method != "POST":
        return _page(request)
    sent, now = request.POST, timezone.now()
    try:
        maintenance.plan(
            actor=signed_in(request),
            environment=environment_named(sent.get("environment", "")[:63]),
            title=sent.get("title", ""),
            starts_at=moment(sent.get("starts", "")[:40], now, ahead=True),
            ends_at=moment(sent.get("until", "")[:40], now, ahead=True),
            public=bool(sent.get("public")),
        )
    except PortalError as error:
        return _page(request, error)
    return HttpResponseRedirect(reverse("maintenance"))


@require_POST
@members_only
def end(request: HttpRequest, number: int) -> HttpResponseBase:
    """End it now, or call it off."""
    row = get_object_or_404(Maintenance.objects.select_related("environment"), pk=number)
    try:
        maintenance.end(actor=signed_in(request), window=row, reason=request.POST.get("reason", ""))
    except PortalError as error:
        return _page(request, error)
    return HttpResponseRedirect(reverse("maintenance"))


def _page(request: HttpRequest, refused: PortalError | None = None) -> HttpResponseBase:
    actor, now = signed_in(request), timezone.now()
    rows = Maintenance.objects.select_related("environment")
    own = [row for row in Environment.objects.filter(retired_at=None) if may(actor, Verb.LOCK, row)]
    not_over = list(rows.filter(ended_at=None, ends_at__gt=now).order_by("starts_at"))
    context: dict[str, Any] = {
        "nav": "incidents",
        "windows": [(row, row.word(now), row.environment in own) for row in not_over],
        "over": list(rows.exclude(pk__in=[row.pk for row in not_over])[:_OVER]),
        "environments": own,
        "title_characters": maintenance.TITLE_CHARACTERS,
        "refused": refused,
        "sent": request.POST,
        "now": now,
    }
    status = refused.http_status if refused else 200
    return uncached(render(request, "dashboard/maintenance.html", context, status=status))

"""`/silences/`: what nobody is told of, why and until when; making and lifting silences. For members."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone

from alerting import silences
from alerting.silences import Wanted
from alerting.views.inbox import DURATIONS
from deployments.access.policy import may
from deployments.http.members import members_only, signed_in
from deployments.http.pages import uncached
from deployments.models import Environment
from engine.alertmanager import AlertmanagerError
from engine.errors import PortalError


@members_only
def silences_page(request: HttpRequest) -> HttpResponseBase:
    """The silences that stand. A form is answered with what it would hush, or by doing it."""
    if request.method != "POST":
        return _page(request, _wanted(request.GET))
    wanted = _wanted(request.POST)
    minutes = request.POST.get("minutes", "")
    lasting = timedelta(minutes=int(minutes) if minutes.isascii() and minutes.isdecimal() and len(minutes) < 7 else 0)
    actor = signed_in(request)
    try:
        if request.POST.get("do") != "silence":
            return _page(request, wanted, preview=silences.preview(actor=actor, wanted=wanted))
        silences.silence(actor=actor, wanted=wanted, reason=request.POST.get("reason", ""), lasting=lasting)
    except PortalError as error:
        return _page(request, wanted, refused=error)
    return HttpResponseRedirect(reverse("silences"))


@members_only
def lift_silence(request: HttpRequest, identifier: UUID) -> HttpResponseBase:
    """End one."""
    if request.method == "POST":
        try:
            silences.lift(actor=signed_in(request), identifier=str(identifier))
        except PortalError as error:
            return _page(request, Wanted(), refused=error)
    return HttpResponseRedirect(reverse("silences"))


def _page(request: HttpRequest, wanted: Wanted, refused: PortalError | None = None, **more: Any) -> HttpResponseBase:
    status = refused.http_status if refused else 200
    context: dict[str, Any] = {
        "nav": "alerts",
        "now": timezone.now(),
        "wanted": wanted,
        "sent": request.POST,
        "durations": DURATIONS,
        "environments": Environment.objects.values_list("name", flat=True),
        "may_silence": may(signed_in(request), "silence"),
        **more,
    }
    if not isinstance(refused, AlertmanagerError):  # it has just been asked in vain
        try:
            context["standing"] = silences.standing()
        except AlertmanagerError as error:
            refused = refused or error
    return uncached(render(request, "dashboard/silences.html", context | {"refused": refused}, status=status))


def _wanted(query: Any) -> Wanted:
    names = ("alertname", "environment", "server")
    return Wanted(**{name: query.get(name, "").strip()[:200] for name in names})

"""`/silences/`: what nobody is told of, why and until when; making and lifting silences. For members."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone

from alerting import selectors, silences
from alerting.models import Alert
from alerting.silences import Wanted
from alerting.views.durations import DURATIONS, minutes_of
from deployments.access.policy import may_somewhere
from deployments.access.verbs import Verb
from deployments.core.texts import whole_number
from deployments.http.members import members_only, signed_in
from deployments.http.pages import uncached
from deployments.models import Environment, Server
from engine.alertmanager import ActiveAlert, AlertmanagerError
from engine.errors import PortalError

_MOST_LABELS = 50


@members_only
def silences_page(request: HttpRequest) -> HttpResponseBase:
    """The silences that stand. A form is answered with which alerts it matches, or by doing it."""
    wanted, actor = Wanted(), signed_in(request)
    lasting = timedelta(minutes=minutes_of(request.POST))
    try:
        wanted = _wanted(request.POST if request.method == "POST" else request.GET)
        if request.method != "POST":
            return _page(request, wanted)
        if request.POST.get("do") != "silence":
            return _previewed(request, wanted, silences.preview(actor=actor, wanted=wanted))
        silences.silence(actor=actor, wanted=wanted, reason=request.POST.get("reason", ""), lasting=lasting)
    except PortalError as error:
        if request.POST.get("part") == "preview":
            return _part(request, {"refused": error}, error.http_status)
        return _page(request, wanted, refused=error)
    return HttpResponseRedirect(reverse("silences"))


def _previewed(request: HttpRequest, wanted: Wanted, found: list[ActiveAlert]) -> HttpResponseBase:
    if request.POST.get("part") == "preview":
        return _part(request, {"preview": found})
    return _page(request, wanted, preview=found)


def _part(request: HttpRequest, context: dict[str, Any], status: int = 200) -> HttpResponseBase:
    """What the script puts below the form while somebody chooses."""
    return uncached(render(request, "dashboard/silence_preview.html", context, status=status))


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
        "about": _about(request),
        "chosen": [f"{each.name}={each.value}" for each in wanted.matchers],
        "names": silences.alert_names(),
        "servers": Server.objects.exclude(state=Server.State.RETIRED).values_list("name", flat=True),
        "sent": request.POST,
        "durations": DURATIONS,
        "environments": [str(row) for row in Environment.objects.all()],
        "may_silence": may_somewhere(signed_in(request), Verb.SILENCE),
        **more,
    }
    if not isinstance(refused, AlertmanagerError):  # it has just been asked in vain
        try:
            context["standing"] = standing = silences.standing()
            context["ours"] = silences.ours(standing)
        except AlertmanagerError as error:
            refused = refused or error
    return uncached(render(request, "dashboard/silences.html", context | {"refused": refused}, status=status))


def _about(request: HttpRequest) -> Alert | None:
    """The alert whose labels are offered."""
    number = whole_number(request.POST.get("alert", "") or request.GET.get("alert", ""))
    return selectors.numbered(number) if number is not None else None


def _wanted(query: Any) -> Wanted:
    """The labels that are ticked, else those that are chosen by name. Raises InvalidRequest."""
    if ticked := query.getlist("label"):
        return Wanted.read(one[:400] for one in ticked[:_MOST_LABELS])
    return Wanted.of({name: query.get(name, "").strip()[:200] for name in ("alertname", "environment", "server")})

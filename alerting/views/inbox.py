"""`/alerts/` and `/alerts/<number>/`: what fires, what has fired, and who has it in hand. For members."""

from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from alerting import channels, dead_mans_switch, selectors, silences
from alerting.acknowledgements import acknowledge, withdraw
from alerting.models import Alert
from deployments.access.policy import may
from deployments.http.members import members_only, signed_in
from deployments.http.pages import present
from deployments.models import Environment
from engine.alertmanager import AlertmanagerError
from engine.errors import PortalError

DURATIONS = (
    # minutes, words
    (30, "30 minutes"),
    (60, "1 hour"),
    (240, "4 hours"),
    (480, "8 hours"),
    (1440, "1 day"),
    (4320, "3 days"),
    (10080, "7 days"),
)


@require_safe
@members_only
def inbox_page(request: HttpRequest) -> HttpResponseBase:
    """What fires now, in Alertmanager's groups, and every alert there was."""
    wanted = selectors.Filter.parse(request.GET)
    now = timezone.now()
    query = request.GET.copy()
    for name in ("before", "part"):
        query.pop(name, None)
    found = selectors.firing(now)
    context = {
        "nav": "alerts",
        "now": now,
        "filter": wanted,
        "groups": selectors.groups(found),
        "firing": len(found),
        "loud": sum(one.loud for one in found),
        "unwatched": "" if found else dead_mans_switch.unwatched(now),
        "left_out": selectors.left_out(found),
        "alarms": sum(one.alarm for one in found),
        "channels": channels.channels(),
        "page": selectors.page(wanted, now),
        "environments": Environment.objects.values_list("name", flat=True),
        "statuses": Alert.Status.choices,
        "query": query.urlencode(),
    }
    return present(request, "dashboard/alerts.html", "dashboard/alerts_live.html", context)


@require_safe
@members_only
def alert_page(request: HttpRequest, number: int) -> HttpResponseBase:
    """One alert. With `?part=live` only what changes by itself."""
    return _alert(request, number)


@members_only
def acknowledge_alert(request: HttpRequest, number: int) -> HttpResponseBase:
    """Take it in hand."""
    alert = _numbered(number)
    minutes = request.POST.get("minutes", "")
    lasting = timedelta(minutes=int(minutes) if minutes.isascii() and minutes.isdecimal() and len(minutes) < 7 else 0)
    if request.method == "POST":
        try:
            acknowledge(actor=signed_in(request), alert=alert, comment=request.POST.get("comment", ""), lasting=lasting)
        except PortalError as error:
            return _alert(request, number, error)
    return HttpResponseRedirect(reverse("alert", args=[alert.pk]))


@members_only
def withdraw_acknowledgement(request: HttpRequest, number: int) -> HttpResponseBase:
    """Take that back."""
    alert = _numbered(number)
    if request.method == "POST":
        try:
            withdraw(actor=signed_in(request), alert=alert)
        except PortalError as error:
            return _alert(request, number, error)
    return HttpResponseRedirect(reverse("alert", args=[alert.pk]))


def _alert(request: HttpRequest, number: int, refused: PortalError | None = None) -> HttpResponseBase:
    alert = _numbered(number)
    now = timezone.now()
    context = {
        "nav": "alerts",
        "now": now,
        "detail": selectors.detail(alert, now),
        "may_acknowledge": may(signed_in(request), "acknowledge", alert.environment),
        "durations": DURATIONS,
        "refused": refused,
        "sent": request.POST,
    }
    if request.GET.get("part") != "live":
        context |= _silencing(request, alert)
    if refused is not None:
        return render(request, "dashboard/alert.html", context, status=refused.http_status)
    return present(request, "dashboard/alert.html", "dashboard/alert_live.html", context)


def _silencing(request: HttpRequest, alert: Alert) -> dict[str, Any]:
    """Which silences cover it, as Alertmanager says now, and where to make one."""
    if alert.status != Alert.Status.FIRING:
        return {}
    named = {"alertname": alert.name, "environment": alert.environment or "", "server": alert.labels.get("server", "")}
    found: dict[str, Any] = {
        "may_silence": may(signed_in(request), "silence", alert.environment),
        "silence_query": urlencode(named),
    }
    try:
        found["silenced"] = silences.covering(alert)
    except AlertmanagerError as error:
        found["unasked"] = error
    return found


def _numbered(number: int) -> Alert:
    alert = selectors.numbered(number)
    if alert is None:
        raise Http404("There is no such alert.")
    return alert

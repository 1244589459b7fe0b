"""`/alerts/<number>/`: one alert, and what is done about it. For members."""

from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from alerting import alert_expiry, assignments, selectors, silences
from alerting.actions import act
from alerting.models import Alert, Incident
from alerting.views.durations import DURATIONS, minutes_of
from deployments.access.policy import may
from deployments.access.verbs import Verb
from deployments.core.actors import Actor
from deployments.http.members import members_only, signed_in
from deployments.http.pages import present
from engine.alertmanager import AlertmanagerError
from engine.errors import PortalError


@require_safe
@members_only
def alert_page(request: HttpRequest, number: int) -> HttpResponseBase:
    """One alert. With `?part=live` only what changes by itself."""
    return _alert(request, _numbered(number))


@members_only
def act_on_alert(request: HttpRequest, number: int, what: str) -> HttpResponseBase:
    """Acknowledge, snooze, withdraw or assign it."""
    alert = _numbered(number)
    if request.method == "POST":
        try:
            sent = request.POST
            lasting, comment = timedelta(minutes=minutes_of(sent)), sent.get("comment", "")
            act(what, actor=signed_in(request), alert=alert, lasting=lasting, comment=comment, to=sent.get("to", ""))
        except PortalError as error:
            return _alert(request, alert, error)
    return HttpResponseRedirect(reverse("alert", args=[alert.pk]))


def _alert(request: HttpRequest, alert: Alert, refused: PortalError | None = None) -> HttpResponseBase:
    now, actor = timezone.now(), signed_in(request)
    detail = selectors.detail(alert, now)
    asks = alert.severity != "none"  # the sign that monitoring is heard
    may_acknowledge = asks and may(actor, Verb.ACKNOWLEDGE, alert.environment)
    context: dict[str, Any] = {
        "nav": "alerts",
        "now": now,
        "detail": detail,
        "why_unended": alert_expiry.why_unended(alert, now),
        "may_acknowledge": may_acknowledge,
        "durations": DURATIONS,
        "refused": refused,
        "sent": request.POST,
        "me": actor.person,
    }
    if request.GET.get("part") != "live":
        context |= _silencing(actor, alert)
        context["incidents"] = list(Incident.objects.filter(alert=alert))
        context["may_open"] = asks and may(actor, Verb.MANAGE_INCIDENTS, alert.environment)
        context["people"] = assignments.assignable(alert.environment) if may_acknowledge else []
    if refused is not None:
        return render(request, "dashboard/alert.html", context, status=refused.http_status)
    return present(request, "dashboard/alert.html", "dashboard/alert_live.html", context)


def _silencing(actor: Actor, alert: Alert) -> dict[str, Any]:
    """Which silences cover it, as Alertmanager says now, and where to make one."""
    if alert.status != Alert.Status.FIRING:
        return {}
    usual = [f"{name}={alert.labels[name]}" for name in ("alertname", "environment", "server") if name in alert.labels]
    found: dict[str, Any] = {
        "may_silence": may(actor, Verb.SILENCE, alert.environment),
        "silence_query": urlencode({"alert": alert.pk, "label": usual}, doseq=True),
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

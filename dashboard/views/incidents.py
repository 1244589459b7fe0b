"""`/incidents/`: what went wrong and what was said of it, for strangers as far as it is public; opening, updating."""

from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponseRedirect, QueryDict
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from alerting import selectors as alerts
from alerting.incidents.recording import TEXT_CHARACTERS, TITLE_CHARACTERS, Said, open_incident, update_incident
from alerting.incidents.selectors import PER_PAGE, incidents, numbered
from alerting.models import Alert, Incident
from dashboard.selectors.status import page_settings
from deployments.access.policy import may
from deployments.access.verbs import Verb
from deployments.core.actors import Actor
from deployments.http.members import is_member, members_only, signed_in
from deployments.http.pages import present, uncached
from deployments.models import Environment, Server
from deployments.notifications.subscribers import confirmed, mail_channel
from engine.errors import PortalError

_MOST_SERVERS = 200


@require_safe
def incidents_page(request: HttpRequest) -> HttpResponseBase:
    """All of them, the newest first, a page at a time."""
    members, page = is_member(request), page_settings()
    if not members and not page.public:
        return redirect_to_login(request.get_full_path())
    rows = incidents(members=members)
    if before := _number(request.GET.get("before", "")):
        rows = rows.filter(pk__lt=before)
    found = list(rows[: PER_PAGE + 1])
    context = {
        "nav": "incidents",
        "page": page,
        "members": members,
        "incidents": found[:PER_PAGE],
        "more": found[PER_PAGE - 1].pk if len(found) > PER_PAGE else None,
        "mails": page.public and mail_channel() is not None,
        "subscribers": confirmed() if members else 0,
        "may_open": members and bool(_own_environments(signed_in(request))),
    }
    return uncached(render(request, "dashboard/incidents.html", context))


@require_safe
def incident_page(request: HttpRequest, number: int) -> HttpResponseBase:
    """One, with everything that was said. With `?part=live` only what changes by itself."""
    return _incident(request, number)


@require_POST
@members_only
def update(request: HttpRequest, number: int) -> HttpResponseBase:
    """Add an update."""
    row = numbered(number, members=True)
    if row is None:
        raise Http404("There is no such incident.")
    try:
        update_incident(actor=signed_in(request), incident=row, said=_said(request.POST))
    except PortalError as error:
        return _incident(request, number, error)
    return HttpResponseRedirect(reverse("incident", args=[number]))


@members_only
def open_page(request: HttpRequest) -> HttpResponseBase:
    """Open one, by hand or about the alert that `?alert=` names."""
    sent, actor = request.POST, signed_in(request)
    about = _alert(sent.get("alert", "") or request.GET.get("alert", ""))
    environments = _own_environments(actor)
    servers = list(Server.objects.exclude(state=Server.State.RETIRED).filter(environment__in=environments))
    chosen = _chosen(sent, about)
    refused = None
    if request.method == "POST":
        try:
            made = open_incident(
                actor=actor,
                title=sent.get("title", ""),
                said=_said(sent),
                environments=[row for row in environments if str(row.pk) in chosen["environment"]],
                servers=[row for row in servers if str(row.pk) in chosen["server"]],
                alert=about,
            )
        except PortalError as error:
            refused = error
        else:
            return HttpResponseRedirect(reverse("incident", args=[made.pk]))
    context = {
        "nav": "incidents",
        "refused": refused,
        "about": about,
        "sent": sent if sent else _first_words(about),
        "chosen": chosen,
        "environments": environments,
        "servers": servers[:_MOST_SERVERS],
        **_choices(),
    }
    status = refused.http_status if refused else 200
    return uncached(render(request, "dashboard/incident_open.html", context, status=status))


def _incident(request: HttpRequest, number: int, refused: PortalError | None = None) -> HttpResponseBase:
    members, page = is_member(request), page_settings()
    row = numbered(number, members=members) if members or page.public else None
    if row is None:
        if not request.user.is_authenticated:  # the same answer for what is not public and for what is not there
            return redirect_to_login(request.get_full_path())
        raise Http404("There is no such incident.")
    context = {
        "nav": "incidents",
        "page": page,
        "members": members,
        "incident": row,
        "updates": list(row.updates.all()),
        "now": timezone.now(),
        "may_update": members and _may_update(signed_in(request), row),
        "refused": refused,
        "sent": request.POST,
        **_choices(),
    }
    if refused is not None:
        return uncached(render(request, "dashboard/incident.html", context, status=refused.http_status))
    return present(request, "dashboard/incident.html", "dashboard/incident_live.html", context)


def _may_update(actor: Actor, row: Incident) -> bool:
    about = {*row.environments.all(), *(server.environment for server in row.servers.select_related("environment"))}
    return all(may(actor, Verb.MANAGE_INCIDENTS, home) for home in about or [None])


def _own_environments(actor: Actor) -> list[Environment]:
    """Those whose incidents this person may open."""
    return [row for row in Environment.objects.filter(retired_at=None) if may(actor, Verb.MANAGE_INCIDENTS, row)]


def _choices() -> dict[str, Any]:
    return {
        "states": Incident.State.choices,
        "severities": Incident.Severity.choices,
        "title_characters": TITLE_CHARACTERS,
        "text_characters": TEXT_CHARACTERS,
    }


def _said(sent: QueryDict) -> Said:
    return Said(sent.get("text", ""), sent.get("state", ""), sent.get("severity", ""), bool(sent.get("public")))


def _chosen(sent: QueryDict, about: Alert | None) -> dict[str, list[str]]:
    """The numbers that are ticked; of an alert at first its environment and its bot."""
    if sent or about is None:
        return {"environment": sent.getlist("environment"), "server": sent.getlist("server")}
    named = {"environment": about.environment_id, "server": about.server_id}
    return {what: [str(pk)] if pk else [] for what, pk in named.items()}


def _first_words(about: Alert | None) -> dict[str, str]:
    if about is None:
        return {}
    severity = Incident.Severity.CRITICAL if about.severity == "critical" else Incident.Severity.MINOR
    return {"title": about.summary[:TITLE_CHARACTERS], "severity": severity}


def _alert(text: str) -> Alert | None:
    number = _number(text)
    return alerts.numbered(number) if number else None


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 16 else 0

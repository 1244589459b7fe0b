"""`/deployments/` and `/deployments/<id>/`, for members."""

from typing import Any

from django.contrib import admin
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from dashboard.selectors import history, log, progress
from dashboard.selectors.guidance import guidance, mood, partly_back, said, still_watched, tone, what_trouble_does
from dashboard.selectors.step_times import usual_step_seconds
from deployments.access.signatures import Signed, signed
from deployments.admin.actors import actor_of
from deployments.admin.base import PortalAdmin
from deployments.admin.request_deployment import places_to_deploy_to
from deployments.core.selectors import expected_seconds, followed_by, usual_seconds
from deployments.execution.spans import spans
from deployments.http.members import members_only
from deployments.http.pages import present
from deployments.lifecycle import Kind, Status
from deployments.models import Deployment, Environment
from deployments.requests.inbox import inbox
from deployments.requests.release_objections import errors_of, objections_to
from deployments.requests.release_records import records_of
from deployments.requests.reviews import review_of
from deployments.requests.seals import approvals_given
from deployments.requests.way_forward import way_forward

_WITHOUT_SCRIPT = 200  # lines of the log that the page itself carries


@require_safe
@members_only
def history_page(request: HttpRequest) -> HttpResponseBase:
    """Past deployments with filters."""
    wanted = history.Filter.parse(request.GET)
    now = timezone.now()
    query = request.GET.copy()
    query.pop("before", None)
    context = {
        "nav": "deployments",
        "now": now,
        "filter": wanted,
        "page": history.page(wanted),
        "environments": [str(row) for row in Environment.objects.all()],
        "statuses": Status.choices,
        "kinds": Kind.choices,
        "query": query.urlencode(),
        "deploy_to": places_to_deploy_to(actor_of(request)),
        "waiting": [one for one in inbox(actor_of(request)) if not one.why_not],
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
    given, followed = approvals_given(deployment), followed_by(deployment)
    context: dict[str, Any] = {
        "nav": "deployments",
        "now": now,
        "deployment": deployment,
        "run": progress.progress(deployment, now, usual_step_seconds(deployment) if deployment.active else None),
        "approvals": signed(deployment),
        "given": given,
        "refused": deployment.status == Status.REJECTED,
        "followed": followed,
        "expected": _expected(deployment),
        "guidance": guidance(deployment, given) or " ".join(way_forward(deployment)).replace("`", ""),
        "said": said(deployment),
        "watched": 0 if followed else still_watched(deployment, now),
        "trouble": what_trouble_does(deployment),
        "partly": partly_back(deployment),
        "whole": whole,
        "tone": tone(deployment),
        "error": errors_of([deployment.pk]).get(deployment.pk) if tone(deployment) == "bad" else None,
        "mood": mood(deployment),
        "rollbacks": Deployment.objects.filter(rollback_of=deployment).only("pk", "status"),
    }
    context |= _history_of_the_release(deployment) | _actions(request, deployment, context["approvals"])
    if whole:
        review = review_of(actor=actor_of(request), deployment=deployment)
        context |= {
            "review": review,
            "log": log.last_lines(deployment, _WITHOUT_SCRIPT),
            **_room().events_for(deployment),
        }
        context["spans"] = spans(deployment) if deployment.ended else []
    return present(request, "dashboard/deployment.html", "dashboard/deployment_live.html", context)


def _expected(deployment: Deployment) -> float | None:
    """Seconds that it should take; of one that has ended, that it should have taken."""
    if deployment.ended:
        return usual_seconds(deployment)
    return expected_seconds(deployment.environment, Kind(deployment.kind))


def _history_of_the_release(deployment: Deployment) -> dict[str, Any]:
    """What became of its release elsewhere and why, while it can still be decided about or has not begun."""
    if deployment.started_at or deployment.ended:
        return {}
    record = records_of([deployment.release], without=deployment)[0]
    return {"record": record, "objections": objections_to(record)}


def _actions(request: HttpRequest, deployment: Deployment, given: list[Signed]) -> dict[str, Any]:
    """What can be done here; the decision that waits for this very person stands by itself, in the first box."""
    actions = _room().actions_for(request, deployment)
    me = actor_of(request).identity
    if not actions or not actions[0].get("decides") or any(each.approval.actor == me for each in given):
        return {"actions": actions}
    return {"answer": actions[0], "actions": actions[1:]}


def _room() -> PortalAdmin[Deployment]:
    """Where its buttons, by what this person may do now, and its audit events come from."""
    room = admin.site.get_model_admin(Deployment)
    assert isinstance(room, PortalAdmin)  # noqa: S101  (it is registered as one)
    return room

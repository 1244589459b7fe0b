"""The control room at a glance: what waits for somebody, what runs, how each environment stands."""

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.urls import reverse

from deployments.access.policy import may
from deployments.admin.actors import actor_of
from deployments.admin.trail import shown
from deployments.audit import trail
from deployments.core import queueing, selectors
from deployments.core.actors import Actor, identity_in
from deployments.lifecycle import Kind, Status
from deployments.models import AuditEvent, Deployment, Environment, PolicyChange, Release, Server
from deployments.requests.rollback_targets import can_roll_back, rollback_target

RECENT = 8


@dataclass(frozen=True)
class EnvironmentCard:
    """One environment."""

    environment: Environment
    servers: list[Server]
    live: Release | None
    active: Deployment | None
    last: Deployment | None
    way_back: Release | None
    rollback_seconds: float | None
    buttons: list[dict[str, str]]


def overview(request: HttpRequest) -> dict[str, Any]:
    """What the first page shows."""
    actor = actor_of(request)
    rows = Deployment.objects.select_related("environment", "release")
    may_approve = may(actor, "approve")
    return {
        "waiting": [
            (row, may_approve and identity_in(row.requested_by) != actor.identity)
            for row in selectors.waiting_requests()
        ],
        "policy_changes": [
            (row, may(actor, "decide_policy", row.environment) and identity_in(row.requested_by) != actor.identity)
            for row in PolicyChange.objects.filter(state=PolicyChange.State.WAITING).select_related("environment")
        ],
        "interrupted": list(rows.filter(status=Status.INTERRUPTED)[:3]),
        "drifted": selectors.drifted_servers(),
        "cards": [_card(environment, actor) for environment in Environment.objects.prefetch_related("servers")],
        "recent": list(rows[:RECENT]),
        "events": [shown(event) for event in AuditEvent.objects.all()[:RECENT]],
        "audit_head": trail.head(),
        "queue_seconds": queueing.oldest_queued_seconds(),
        "first_steps": not Server.objects.exists(),
    }


def _card(environment: Environment, actor: Actor) -> EnvironmentCard:
    last = Deployment.objects.filter(environment=environment).exclude(finished_at=None).order_by("-finished_at").first()
    return EnvironmentCard(
        environment=environment,
        servers=[server for server in environment.servers.all() if server.state != Server.State.RETIRED],
        live=selectors.live_release(environment),
        active=selectors.active_deployment(environment),
        last=last,
        way_back=rollback_target(environment),
        rollback_seconds=selectors.expected_seconds(environment, Kind.ROLLBACK),
        buttons=list(_buttons(environment, actor)),
    )


def _buttons(environment: Environment, actor: Actor) -> list[dict[str, str]]:
    lock = ("unlock", "Unlock", "lock_open") if environment.locked else ("lock", "Lock", "lock")
    offered = [
        ("request", "request", "Deploy", "rocket_launch", "good"),
        ("roll_back", "roll-back", "Roll back", "undo", "bad"),
        ("lock", *lock, "plain"),
    ]
    return [
        {
            "label": label,
            "icon": icon,
            "tone": tone,
            "url": reverse(f"admin:deployments_environment_{slug.replace('-', '_')}", args=[environment.pk]),
        }
        for verb, slug, label, icon, tone in offered
        if may(actor, verb, environment) and (verb != "roll_back" or can_roll_back(environment))
    ]

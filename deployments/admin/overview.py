"""The control room at a glance: what waits for somebody, what runs, how each environment stands."""

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.urls import reverse

from deployments.access.policy import may
from deployments.access.verbs import Verb
from deployments.admin.actors import actor_of
from deployments.admin.event_display import shown
from deployments.audit import trail
from deployments.core import queueing, selectors
from deployments.core.actors import Actor, identity_in
from deployments.models import AuditEvent, Deployment, Environment, PolicyChange, Release, Server
from deployments.requests.environment_status import EnvironmentStatus, environment_statuses
from deployments.requests.inbox import inbox
from deployments.requests.rollback_targets import all_in_quarantine

RECENT = 8
CARDS, SERVERS = 12, 12
"""Environments that are shown at once, and servers of each."""
LOOKED_AT = 200
"""Deployments that say which environments are in use."""


@dataclass(frozen=True)
class EnvironmentCard:
    """One environment."""

    environment: Environment
    servers: list[Server]
    more_servers: int
    standing: EnvironmentStatus
    why_none: str
    buttons: list[dict[str, str]]


def overview(request: HttpRequest) -> dict[str, Any]:
    """What the first page shows."""
    actor = actor_of(request)
    rows = Deployment.objects.with_taken_back().select_related("environment", "release").defer("snapshot")
    waiting = inbox(actor)
    environments = _shown_environments()
    found = environment_statuses(environments)
    built = Release.objects.exists()
    nowhere = [each for each in environments if found[each.pk].way_back is None]
    why = all_in_quarantine(nowhere, {each.pk: found[each.pk].live for each in nowhere})
    return {
        "for_you": [one for one in waiting if not one.why_not],
        "for_others": [one for one in waiting if one.why_not],
        "policy_changes": [
            (row, may(actor, Verb.DECIDE_POLICY, row.environment) and identity_in(row.requested_by) != actor.identity)
            for row in PolicyChange.objects.filter(state=PolicyChange.State.WAITING).select_related("environment")
        ],
        "interrupted": selectors.unsettled_deployments(),
        "drifted": selectors.drifted_servers()[:RECENT],
        "cards": [
            _card(environment, found[environment.pk], why.get(environment.pk, ""), actor, built=built)
            for environment in environments
        ],
        "more_environments": Environment.objects.filter(retired_at=None).count() > CARDS,
        "recent": list(rows[:RECENT]),
        "events": [shown(event) for event in AuditEvent.objects.all()[:RECENT]],
        "audit_head": trail.head(),
        "queue_seconds": queueing.oldest_queued_seconds(),
    }


def _shown_environments() -> list[Environment]:
    """All of them, or where there are very many those that were deployed to lately, in their usual order."""
    lately = Deployment.objects.order_by("-id").values_list("environment_id", flat=True)[:LOOKED_AT]
    in_use = Environment.objects.filter(retired_at=None)
    there = set(in_use.order_by().values_list("pk", flat=True))
    numbers = dict.fromkeys([*(pk for pk in lately if pk in there), *in_use.values_list("pk", flat=True)[:CARDS]])
    return list(in_use.filter(pk__in=list(numbers)[:CARDS]).prefetch_related("servers"))


def _card(
    environment: Environment, standing: EnvironmentStatus, why_none: str, actor: Actor, *, built: bool
) -> EnvironmentCard:
    in_service = [server for server in environment.servers.all() if server.state != Server.State.RETIRED]
    return EnvironmentCard(
        environment=environment,
        servers=in_service[:SERVERS],
        more_servers=len(in_service) - SERVERS,
        standing=standing,
        why_none=why_none,
        buttons=list(_buttons(environment, standing, actor, built=built)),
    )


def _buttons(
    environment: Environment, standing: EnvironmentStatus, actor: Actor, *, built: bool
) -> list[dict[str, str]]:
    lock = ("unlock", "Unlock", "lock_open") if environment.locked else ("lock", "Lock", "lock")
    offered = [
        (Verb.REQUEST, "request", "Deploy", "rocket_launch", "good"),
        (Verb.ROLL_BACK, "roll-back", "Roll back", "undo", "bad"),
        (Verb.LOCK, *lock, "plain"),
    ]
    return [
        {
            "label": label,
            "icon": icon,
            "tone": tone,
            "url": reverse(f"admin:deployments_environment_{slug.replace('-', '_')}", args=[environment.pk]),
        }
        for verb, slug, label, icon, tone in offered
        if may(actor, verb, environment)
        and (verb != Verb.ROLL_BACK or standing.can_roll_back)
        and (verb != Verb.REQUEST or (built and not (environment.locked or standing.maintenance)))
    ]

"""How an environment or a server stands, for pages of the control room: its services, what fires, and open incidents.

What fires and which incidents are open is what the frame of the page has read already.
"""

import re
from collections.abc import Callable
from typing import Any

from django import template
from django.utils import timezone

from alerting.models import Incident
from alerting.selectors import Shown
from dashboard.models import Condition
from dashboard.selectors.bot_status import Stands
from dashboard.selectors.bots import Bot, all_bots, bots_of
from dashboard.views.navigation_counts import Shell, shell_of
from deployments.models import Environment, Server

register = template.Library()

_TONES = {
    Condition.CONNECTED: ("ok", "good"),
    Condition.STOPPED: ("waiting", "wary"),
    Condition.STALE: ("waiting", "wary"),
    None: ("expired", "plain"),
}


@register.filter
def tone(bot: Stands) -> str:
    """The class of the word that says its condition."""
    return _TONES.get(bot.condition, ("failed", "bad"))[0]


@register.filter
def spaced(name: str) -> str:
    """The name of an alert as words: `CriticalErrorRate` is `Critical error rate`."""
    return re.sub(r"(?<=[a-z])[A-Z]", lambda found: f" {found[0].lower()}", name)


@register.filter
def mood(bot: Stands) -> str:
    """The class of the row that says it."""
    return _TONES.get(bot.condition, ("failed", "bad"))[1]


@register.simple_tag
def services_in(environment: Environment) -> list[Bot]:
    """The bots and services there, those in trouble first. Two queries."""
    return bots_of([environment.pk], timezone.now()).get(environment.pk, [])


@register.simple_tag
def service_on(server: Server) -> list[Bot]:
    """What the server's role bot runs; empty where it has none, or nothing was ever deployed or heard. One query."""
    return [bot for bot in all_bots(timezone.now(), [server.pk]) if bot.state is not None or bot.deployed]


@register.simple_tag(takes_context=True)
def status_of(context: template.Context, server: Server) -> Stands | None:
    """The same of one row of many, as the frame has read it."""
    frame = _frame(context)
    bots: list[Any] = list(frame.situation.bots) if frame else []
    return next((bot for bot in bots if bot.pk == server.pk), None)


@register.simple_tag(takes_context=True)
def firing_in(context: template.Context, environment: Environment) -> list[Shown]:
    """The alerts that fire there; those that need action first."""
    return _firing(context, lambda one: one.alert.environment_id == environment.pk)


@register.simple_tag(takes_context=True)
def firing_elsewhere(context: template.Context, cards: list[Any]) -> list[Shown]:
    """The alerts that fire in none of the environments of these cards, or in no environment at all."""
    shown = {card.environment.pk for card, _ in cards}
    return _firing(context, lambda one: one.alert.environment_id not in shown)


@register.simple_tag(takes_context=True)
def firing_on(context: template.Context, server: Server) -> list[Shown]:
    """The alerts that fire about a server."""
    return _firing(context, lambda one: one.alert.server_id == server.pk)


@register.simple_tag(takes_context=True)
def incidents_in(context: template.Context, environment: Environment) -> list[Incident]:
    """The open incidents that name the environment or one of its servers."""
    frame = _frame(context)
    return [
        row
        for row in (frame.situation.incidents if frame else ())
        if any(place.pk == environment.pk for place in row.environments.all())
        or any(server.environment_id == environment.pk for server in row.servers.all())
    ]


def _frame(context: template.Context) -> Shell | None:
    request = context.get("request")
    return shell_of(request) if request is not None else None


def _firing(context: template.Context, chosen: Callable[[Shown], bool]) -> list[Shown]:
    frame = _frame(context)
    found = [one for one in (frame.situation.alerts.firing if frame else ()) if chosen(one)]
    return sorted(found, key=lambda one: not one.alarm)

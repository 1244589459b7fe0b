"""Telling people in the transaction of a decision, and sending soon after it."""

from typing import Any

from deployments.core import queueing
from deployments.models import Deployment, Environment
from deployments.notifications import messages


def notify(deployment: Deployment, event: str, **facts: Any) -> None:
    """Announce `event` of a deployment; runs in the caller's transaction."""
    if messages.announce(deployment, event, **facts):
        queueing.enqueue_delivery()


def notify_environment(environment: Environment, event: str, *, what: str, lines: list[str]) -> None:
    """Announce something about an environment; runs in the caller's transaction."""
    if messages.announce_environment(environment, event, what=what, lines=lines):
        queueing.enqueue_delivery()


def notify_everyone(event: str, *, what: str, lines: list[str]) -> None:
    """Announce something about the portal itself, to channels of all environments; runs in the caller's transaction."""
    if messages.announce_portal(event, what=what, lines=lines):
        queueing.enqueue_delivery()

"""What a person does about one alert, by the words that pages and the command line have for it."""

from datetime import timedelta

from django.utils import timezone

from alerting.acknowledgements import acknowledge, snooze, withdraw
from alerting.assignments import assign
from alerting.models import Alert
from deployments.core.actors import Actor

ACTIONS = ("acknowledge", "snooze", "withdraw", "assign")


def act(what: str, *, actor: Actor, alert: Alert, lasting: timedelta, comment: str = "", to: str = "") -> None:
    """Do one of `ACTIONS`; each takes of the rest what it needs. Raises as the service behind it does."""
    match what:
        case "acknowledge":
            acknowledge(actor=actor, alert=alert, comment=comment, lasting=lasting)
        case "snooze":
            snooze(actor=actor, alert=alert, until=timezone.now() + lasting, comment=comment)
        case "withdraw":
            withdraw(actor=actor, alert=alert)
        case "assign":
            assign(actor=actor, alert=alert, to=to)

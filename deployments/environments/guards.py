"""What is refused whatever the verb: a busy, a locked or a retired environment, and one under maintenance."""

from django.utils import timezone

from deployments.core import selectors
from deployments.core.actors import in_words
from deployments.models import Environment, Maintenance
from engine.errors import EnvironmentBusy, InvalidRequest, NotAllowed


def refuse_busy(environment: Environment) -> None:
    """Raise EnvironmentBusy, naming the active deployment, if there is one."""
    if active := selectors.active_deployment(environment):
        status = active.get_status_display().lower()
        raise EnvironmentBusy(
            f"{environment} is busy: deployment {active.pk} of {active.release} is {status}.",
            hint=f"Wait for it, or cancel it with `manage.py cancel {active.pk}`.",
        )


def refuse_retired(environment: Environment) -> None:
    """Raise InvalidRequest for an environment that is kept for its history alone."""
    if environment.retired_at is not None:
        raise InvalidRequest(
            f"{environment} was retired on {environment.retired_at:%Y-%m-%d}.",
            hint=f"Make another one: `manage.py environments add {environment.application}/NAME`.",
            reason="retired",
        )


def refuse_locked(environment: Environment) -> None:
    """Raise NotAllowed, naming who locked it and why, if the environment is locked or under maintenance."""
    if environment.locked:
        raise NotAllowed(
            locked_sentence(environment),
            hint="Unlock the environment first; rollbacks are possible all the same.",
            reason="environment_locked",
        )
    if said := frozen(environment):
        raise NotAllowed(
            said,
            hint="Wait for its end, or end it; rollbacks are possible all the same.",
            reason="under_maintenance",
        )


def frozen(environment: Environment) -> str:
    """Why nothing is deployed there now: its lock, or maintenance; empty where nothing is in the way. One query."""
    if environment.locked:
        return locked_sentence(environment)
    window = Maintenance.objects.under_way(timezone.now()).filter(environment=environment).first()
    return maintenance_sentence(window) if window else ""


def maintenance_sentence(window: Maintenance) -> str:
    """Of what, until when, and who planned it."""
    until = f"{window.ends_at:%Y-%m-%d %H:%M} UTC"
    planned = f"planned by {in_words(window.made_by)}: {window.title.rstrip('.')}."
    return f"{window.environment} is under maintenance until {until}, {planned}"


def locked_sentence(environment: Environment) -> str:
    """Who locked it, why, and until when."""
    until = environment.lock_until
    end = f" The lock ends at {until:%Y-%m-%d %H:%M} UTC." if until else ""
    by, reason = in_words(environment.locked_by), environment.lock_reason.rstrip(".")
    return f"{environment} was locked by {by}: {reason}.{end}"

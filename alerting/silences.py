"""People's silences: for a while, Alertmanager tells nobody of what matches. (Deployments have their own.)

Alertmanager keeps them and is the truth about them; the audit trail keeps who made and who ended each. It is asked
first: what it did not take is not recorded.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from alerting.dead_mans_switch import SWITCH
from alerting.models import Alert
from deployments.access.policy import require
from deployments.audit import trail
from deployments.core.actors import Actor
from deployments.core.monitoring import alertmanager
from deployments.core.texts import checked
from deployments.models import Environment
from engine.alertmanager import ActiveAlert, AlertmanagerError, Matcher, Silence
from engine.errors import Conflict, InvalidRequest, NotAllowed, NotFound

SHORTEST, LONGEST = timedelta(minutes=1), timedelta(days=30)
REASON_CHARACTERS = 500
_VALUE_CHARACTERS = 150
_EXPIRED = "expired"


@dataclass(frozen=True)
class Wanted:
    """What to silence: alerts with all of these labels; empty ones count as any."""

    alertname: str = ""
    environment: str = ""
    server: str = ""

    @property
    def matchers(self) -> tuple[Matcher, ...]:
        """The same as Alertmanager wants it."""
        named = (("alertname", self.alertname), ("environment", self.environment), ("server", self.server))
        return tuple(Matcher(name, value) for name, value in named if value)


def preview(*, actor: Actor, wanted: Wanted) -> list[ActiveAlert]:
    """What fires now and would be silenced. Raises NotAllowed, InvalidRequest, AlertmanagerError."""
    _checked(actor, wanted)
    return alertmanager().alerts(wanted.matchers)


def silence(*, actor: Actor, wanted: Wanted, reason: str, lasting: timedelta) -> str:
    """Silence what matches, from now on, for `lasting`; returns Alertmanager's identifier of the silence.

    Raises NotAllowed, InvalidRequest, AlertmanagerError; then there is no silence, and no record of one.
    """
    environment = _checked(actor, wanted)
    reason = checked(reason, limit=REASON_CHARACTERS)
    if not reason:
        raise InvalidRequest("A silence needs a reason.", hint="Say why nobody need be told.", reason="no_reason")
    if not SHORTEST <= lasting <= LONGEST:
        raise InvalidRequest(f"A silence lasts from {SHORTEST.seconds // 60} minute to {LONGEST.days} days.")
    now = timezone.now()
    made = alertmanager().create_silence(
        matchers=wanted.matchers, starts_at=now, ends_at=now + lasting, created_by=str(actor), comment=reason
    )
    facts = {"matchers": _texts(wanted.matchers), "reason": reason, "until": now + lasting}
    try:
        with transaction.atomic():
            subject = f"silence:{made}"
            trail.record(actor=actor, name="silence.made", subject=subject, environment=environment or "", data=facts)
    except BaseException:
        with contextlib.suppress(AlertmanagerError):  # what nobody answers for must not hush anything
            alertmanager().expire_silence(made)
        raise
    return made


def lift(*, actor: Actor, identifier: str) -> Silence:
    """End a silence now, whoever made it. Raises NotAllowed, NotFound, Conflict, AlertmanagerError."""
    require(actor, "silence")
    found = next((one for one in alertmanager().silences() if one.identifier == identifier), None)
    if found is None:
        raise NotFound("Alertmanager knows no such silence.", hint="It forgets those that ended days ago.")
    environment = Environment.objects.filter(name=environment_of(found)).first()
    _for_its_environment(actor, environment)
    if found.state == _EXPIRED:
        raise Conflict("This silence has ended already.", reason="silence_ended")
    alertmanager().expire_silence(identifier)
    with transaction.atomic():
        trail.record(
            actor=actor,
            name="silence.lifted",
            subject=f"silence:{identifier}",
            environment=environment or "",
            data={"matchers": _texts(found.matchers), "made_by": found.created_by, "reason": found.comment},
        )
    return found


def covering(alert: Alert) -> list[Silence]:
    """The silences that hush this alert now, as Alertmanager says; it may not hold it. Raises AlertmanagerError."""
    held = alertmanager().alerts([Matcher("alertname", alert.name)])
    identifiers = {each for one in held if one.fingerprint == alert.fingerprint for each in one.silenced_by}
    return [one for one in standing() if one.identifier in identifiers] if identifiers else []


def environment_of(silence: Silence) -> str:
    """The one environment that a silence is about; "" when it is about several, or may be."""
    return next((each.value for each in silence.matchers if str(each) == f'environment="{each.value}"'), "")


def visible_to(actor: Actor) -> list[Silence]:
    """Those that stand; for a token for one environment those about that one. Raises NotAllowed, AlertmanagerError."""
    require(actor, "view")
    if not actor.environment_id:
        return standing()
    home = Environment.objects.values_list("name", flat=True).get(pk=actor.environment_id)
    return [one for one in standing() if environment_of(one) == home]


def standing() -> list[Silence]:
    """The silences that hold or are to begin, whoever made them; those that end first come first.

    Raises AlertmanagerError.
    """
    return sorted((one for one in alertmanager().silences() if one.state != _EXPIRED), key=lambda one: one.ends_at)


def _checked(actor: Actor, wanted: Wanted) -> Environment | None:
    environment = Environment.objects.filter(name=wanted.environment).first() if wanted.environment else None
    require(actor, "silence", environment)
    _for_its_environment(actor, environment)
    if not wanted.matchers:
        raise InvalidRequest(
            "A silence of everything would hush what nobody knows of yet.",
            hint="Name an alert, an environment or a server.",
            reason="matches_everything",
        )
    if wanted.alertname == SWITCH:
        raise InvalidRequest(f"{SWITCH} is not silenced: its absence is what the portal alarms about.")
    if wanted.environment and environment is None:
        raise InvalidRequest("There is no such environment.", hint="Leave it empty for all of them.")
    if any(len(each.value) > _VALUE_CHARACTERS or not each.value.isprintable() for each in wanted.matchers):
        raise InvalidRequest(f"A label has {_VALUE_CHARACTERS} printable characters at most.")
    return environment


def _for_its_environment(actor: Actor, environment: Environment | None) -> None:
    if actor.environment_id and (environment is None or environment.pk != actor.environment_id):
        raise NotAllowed(f"The token {actor.name} is for one environment.", hint="Name that environment.")


def _texts(matchers: Sequence[Matcher]) -> list[str]:
    return [str(each) for each in matchers]

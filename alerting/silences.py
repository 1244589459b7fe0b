"""People's silences: for a while, Alertmanager tells nobody of what matches. (Deployments have their own.)

Alertmanager keeps them and is the truth about them; the audit trail keeps who made and who ended each. It is asked
first: what it did not take is not recorded.
"""

import contextlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from alerting import silenced
from alerting.dead_mans_switch import SWITCH
from alerting.models import Alert
from deployments.access.policy import require, require_somewhere
from deployments.access.verbs import Verb
from deployments.audit import trail
from deployments.core.actors import Actor
from deployments.core.alertmanager import alertmanager
from deployments.core.selectors import environment_meant, environment_named
from deployments.core.texts import checked
from deployments.models import AuditEvent, Environment, Server
from engine.alertmanager import ActiveAlert, AlertmanagerError, Matcher, Silence
from engine.errors import Conflict, InvalidRequest, NotAllowed, NotFound

SHORTEST, LONGEST = timedelta(minutes=1), timedelta(days=30)
REASON_CHARACTERS = 500
_VALUE_CHARACTERS = 150
_MOST_NAMES = 200
_SHOWN = 80
_EXPIRED = "expired"
_SWITCH = f"{SWITCH} is not silenced: its absence is what the portal alarms about."
_NAMED = ("alertname", "environment", "server")
_LABEL = re.compile("[a-zA-Z_][a-zA-Z0-9_]{0,149}")


@dataclass(frozen=True)
class Wanted:
    """What to silence: alerts with all of these labels; empty ones count as any."""

    alertname: str = ""
    environment: str = ""
    server: str = ""
    others: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, labels: Mapping[str, str]) -> "Wanted":
        """Alerts with all of these labels."""
        others = tuple((name, value) for name, value in labels.items() if name not in _NAMED)
        alertname, environment, server = (labels.get(name, "") for name in _NAMED)
        return cls(alertname, environment, server, others)

    @classmethod
    def read(cls, texts: Iterable[str]) -> "Wanted":
        """The same from `NAME=VALUE` as people and programs write it. Raises InvalidRequest."""
        labels: dict[str, str] = {}
        for text in texts:
            name, sign, value = text.partition("=")
            if not sign or not value:
                raise InvalidRequest(
                    f"{text[:_SHOWN]!r} is no label with a value.", hint="Write NAME=VALUE: alertname=BotDown."
                )
            if name in labels:
                raise InvalidRequest(f"The label {name[:_SHOWN]!r} was given twice.", hint="An alert has it once.")
            labels[name] = value
        return cls.of(labels)

    @property
    def matchers(self) -> tuple[Matcher, ...]:
        """The same as Alertmanager wants it."""
        named = zip(_NAMED, (self.alertname, self.environment, self.server), strict=True)
        return (*(Matcher(name, value) for name, value in named if value), *(Matcher(*one) for one in self.others))


def preview(*, actor: Actor, wanted: Wanted) -> list[ActiveAlert]:
    """What fires now and would be silenced. Raises NotAllowed, InvalidRequest, AlertmanagerError."""
    wanted, _ = _checked(actor, wanted)
    _refuse_unknown(wanted)
    return alertmanager().alerts(wanted.matchers)


def silence(*, actor: Actor, wanted: Wanted, reason: str, lasting: timedelta) -> str:
    """Silence what matches, from now on, for `lasting`; returns Alertmanager's identifier of the silence.

    Raises NotAllowed, InvalidRequest, AlertmanagerError; then there is no silence, and no record of one.
    """
    wanted, environment = _checked(actor, wanted)
    reason = checked(reason, limit=REASON_CHARACTERS)
    if not reason:
        raise InvalidRequest("A silence needs a reason.", hint="Say why nobody need be told.", reason="no_reason")
    if not SHORTEST <= lasting <= LONGEST:
        raise InvalidRequest(f"A silence lasts from {SHORTEST.seconds // 60} minute to {LONGEST.days} days.")
    _refuse_unknown(wanted)
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
        with contextlib.suppress(AlertmanagerError):  # what nobody answers for must not silence anything
            alertmanager().expire_silence(made)
        raise
    silenced.mark()
    return made


def lift(*, actor: Actor, identifier: str) -> Silence:
    """End a silence that was made here. Raises NotAllowed, NotFound, Conflict, AlertmanagerError."""
    require_somewhere(actor, Verb.SILENCE)
    found = next((one for one in alertmanager().silences() if one.identifier == identifier), None)
    if found is None:
        raise NotFound("Alertmanager knows no such silence.", hint="It forgets those that ended days ago.")
    environment = environment_meant(environment_of(found))
    require(actor, Verb.SILENCE, environment)
    if identifier not in ours([found]):
        raise NotAllowed(
            f"This silence was not made here, but by {found.created_by}.",
            hint="End it where it was made; a deployment's ends by itself.",
            reason="not_ours",
        )
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
    silenced.mark()
    return found


def ours(found: Sequence[Silence]) -> set[str]:
    """The identifiers of those that people made here, by the audit trail. One query."""
    subjects = [f"silence:{one.identifier}"[:100] for one in found]
    made = AuditEvent.objects.filter(name="silence.made", subject__in=subjects).values_list("subject", flat=True)
    return {subject.removeprefix("silence:") for subject in made}


def covering(alert: Alert) -> list[Silence]:
    """The silences that silence this alert now, as Alertmanager says; it may not hold it. Raises AlertmanagerError."""
    held = alertmanager().alerts([Matcher("alertname", alert.name)])
    identifiers = {each for one in held if one.fingerprint == alert.fingerprint for each in one.silenced_by}
    return [one for one in standing() if one.identifier in identifiers] if identifiers else []


def environment_of(silence: Silence) -> str:
    """The one environment that a silence is about; "" when it is about several, or may be."""
    return next((each.value for each in silence.matchers if str(each) == f'environment="{each.value}"'), "")


def visible_to(actor: Actor) -> list[Silence]:
    """Those that stand; for a token for one environment those about that one. Raises NotAllowed, AlertmanagerError."""
    require(actor, Verb.VIEW)
    if not actor.environment_id:
        return standing()
    return [one for one in standing() if _is_about(one, actor.environment_id)]


def _is_about(silence: Silence, environment_id: int) -> bool:
    environment = environment_meant(environment_of(silence))
    return environment is not None and environment.pk == environment_id


def standing() -> list[Silence]:
    """The silences that hold or are to begin, whoever made them; those that end first come first.

    Raises AlertmanagerError.
    """
    return sorted((one for one in alertmanager().silences() if one.state != _EXPIRED), key=lambda one: one.ends_at)


def _checked(actor: Actor, wanted: Wanted) -> tuple[Wanted, Environment | None]:
    """With the environment as alerts are labelled with it."""
    environment = _environment(wanted.environment)
    require(actor, Verb.SILENCE, environment)
    if not wanted.matchers:
        raise InvalidRequest(
            "A silence of everything would silence what nobody knows of yet.",
            hint="Name an alert, an environment or a server.",
            reason="matches_everything",
        )
    if wanted.alertname == SWITCH:
        raise InvalidRequest(_SWITCH)
    if not all(_LABEL.fullmatch(each.name) for each in wanted.matchers):
        raise InvalidRequest("This is no name of a label.", hint="Letters, digits and _.")
    if not all(each.value for each in wanted.matchers):
        raise InvalidRequest("A label has a value.", hint="Write NAME=VALUE, or leave the label out.")
    if any(len(each.value) > _VALUE_CHARACTERS or not each.value.isprintable() for each in wanted.matchers):
        raise InvalidRequest(f"A label has {_VALUE_CHARACTERS} printable characters at most.")
    return replace(wanted, environment=str(environment or "")), environment


def _refuse_unknown(wanted: Wanted) -> None:
    """What no alert has: last of all, since another program may have to be asked."""
    for each in wanted.matchers:
        if not _exists(each):
            raise InvalidRequest(
                f"No alert has ever had {each.name} {each.value!r}.",
                hint="Choose from what there is: a silence of something else would silence nothing.",
                reason="matches_nothing",
            )
    if not wanted.alertname and any(one.name == SWITCH for one in alertmanager().alerts(wanted.matchers)):
        raise InvalidRequest(_SWITCH, hint="Name the alert too.")


def _exists(label: Matcher) -> bool:
    """Whether the portal, or else Alertmanager, knows an alert with this label, or what it names."""
    if label.name == "environment":  # which has been looked up
        return True
    if label.name == "alertname" and Alert.objects.filter(name=label.value).exists():
        return True
    if label.name == "server" and Server.objects.filter(name=label.value).exists():
        return True
    return bool(alertmanager().alerts([label]))


def alert_names() -> list[str]:
    """Of the newest alerts that were told of, in order. One query, whatever there has been."""
    newest = Alert.objects.exclude(severity="none").order_by("-pk").values_list("name", flat=True)
    return sorted(set(newest[:_MOST_NAMES]))


def _environment(text: str) -> Environment | None:
    try:
        return environment_named(text) if text else None
    except NotFound as error:
        raise InvalidRequest("There is no such environment.", hint="Leave it empty for all of them.") from error


def _texts(matchers: Sequence[Matcher]) -> list[str]:
    return [str(each) for each in matchers]

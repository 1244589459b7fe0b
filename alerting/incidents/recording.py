"""Opening an incident and adding to it. Nothing that was said is changed or taken away."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from alerting.models import Alert, Incident, IncidentUpdate
from deployments.access.policy import require
from deployments.access.verbs import Verb
from deployments.audit import trail
from deployments.core.actors import Actor
from deployments.core.texts import checked
from deployments.models import Environment, Server
from deployments.notifications import messages, subscribers
from engine.errors import InvalidRequest, NotAllowed

TITLE_CHARACTERS, TEXT_CHARACTERS = 120, 1000


@dataclass(frozen=True)
class Said:
    """What an update says. Left out, state, severity and whether everybody sees it stay as they are."""

    text: str
    state: str = ""
    severity: str = ""
    public: bool | None = None


def open_incident(
    *,
    actor: Actor,
    title: str,
    said: Said,
    environments: Sequence[Environment] = (),
    servers: Sequence[Server] = (),
    alert: Alert | None = None,
) -> Incident:
    """Open an incident about environments and bots, or about the whole service, with its first update.

    Raises NotAllowed, InvalidRequest (no title, no text, what is no severity).
    """
    _require(actor, [*environments, *([alert.environment] if alert and alert.environment else [])], servers)
    if not environments and not servers:
        _require(actor, [], [])
    said = _checked(said)
    title = checked(title, what="A title", limit=TITLE_CHARACTERS)
    if not title:
        raise InvalidRequest("An incident needs a title.", hint="Say in a few words what people notice.")
    if not said.severity:
        raise InvalidRequest("An incident needs a severity.", hint=_choose(Incident.Severity.values))
    with transaction.atomic():
        now = timezone.now()
        made = Incident(title=title, alert=alert, opened_by=str(actor), opened_at=now)
        _take(made, said)
        made.save()
        made.environments.set(environments)
        made.servers.set(servers)
        IncidentUpdate.objects.create(incident=made, state=made.state, text=said.text, author=str(actor), at=now)
        _tell(actor, made, "opened", said, alert=alert.pk if alert else None)
    return made


def update_incident(*, actor: Actor, incident: Incident, said: Said) -> Incident:
    """Add an update, which may move the incident on, resolve it, or show it to everybody with all that was said.

    Raises NotAllowed, InvalidRequest (no text, what is no state or severity).
    """
    _require(actor, list(incident.environments.all()), list(incident.servers.select_related("environment")))
    said = _checked(said)
    with transaction.atomic():
        row = Incident.objects.select_for_update().get(pk=incident.pk)
        was_over = row.resolved_at is not None
        _take(row, said)
        row.save()
        IncidentUpdate.objects.create(
            incident=row, state=row.state, text=said.text, author=str(actor), at=row.updated_at
        )
        _tell(actor, row, "resolved" if row.resolved_at and not was_over else "updated", said)
    return row


def _require(actor: Actor, environments: Sequence[Environment], servers: Sequence[Server]) -> None:
    """Whoever speaks of an environment answers for alerts there; of the whole service, everywhere."""
    about = {row.pk: row for row in (*environments, *(server.environment for server in servers))}
    if actor.environment_id and set(about) != {actor.environment_id}:
        raise NotAllowed(f"The token {actor.name} is for one environment.", hint="Name that environment alone.")
    for row in about.values():
        require(actor, Verb.MANAGE_INCIDENTS, row)
    if not about:
        require(actor, Verb.MANAGE_INCIDENTS)


def _checked(said: Said) -> Said:
    text = checked(said.text, what="An update", limit=TEXT_CHARACTERS)
    if not text:
        raise InvalidRequest("An update needs a text.", hint="Say what people notice, and what is done about it.")
    _refuse_unknown(said.state, Incident.State.values, "state")
    _refuse_unknown(said.severity, Incident.Severity.values, "severity")
    return Said(text, said.state, said.severity, said.public)


def _refuse_unknown(given: str, known: Iterable[str], what: str) -> None:
    if given and given not in known:
        raise InvalidRequest(f"{given[:40]!r} is no {what} of an incident.", hint=_choose(known))


def _choose(known: Iterable[str]) -> str:
    return f"Choose from: {', '.join(known)}."


def _take(row: Incident, said: Said) -> None:
    row.state, row.severity = said.state or row.state, said.severity or row.severity
    row.public = row.public if said.public is None else said.public
    row.updated_at = timezone.now()
    if row.state != Incident.State.RESOLVED:
        row.resolved_at = None
    elif row.resolved_at is None:
        row.resolved_at = row.updated_at


def _tell(actor: Actor, row: Incident, what: str, said: Said, **more: object) -> None:
    """On record, to the channels that hear of incidents, and to subscribers while everybody may see it."""
    environments = list(row.environments.all())
    one = environments[0] if len(environments) == 1 else None
    facts = {"title": row.title, "state": row.state, "severity": row.severity, "public": row.public, "text": said.text}
    facts |= {"affected": row.affected} if row.affected else {}
    trail.record(
        actor=actor,
        name=f"incident.{what}",
        subject=f"incident:{row.pk}",
        environment=one or "",
        data=facts | {name: value for name, value in more.items() if value is not None},
    )
    words = f"incident {row.pk} was {what} by {actor}: {row.title}"
    lines = [f"{row.get_severity_display()}, {row.get_state_display().lower()}: {said.text}"]
    lines += [row.affected and f"Affected: {row.affected}", f"{settings.PORTAL_URL}/incidents/{row.pk}/"]
    if row.public:
        title = f"{row.title} ({row.get_state_display().lower()})"
        subscribers.tell_subscribers(subject=f"incident:{row.pk}", title=title, lines=lines)
    if one is not None:
        messages.notify_environment(one, "incident", what=words, lines=lines)
    else:
        messages.notify_everyone("incident", what=words, lines=lines)

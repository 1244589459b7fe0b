"""Four eyes: whoever asked for something is never the one who decides about it.

Who controls an account beside its owner counts as its owner: whoever made the link by which they came in could have
used it.
"""

from datetime import datetime, timedelta

from django.utils import timezone

from deployments.access.policy import maker_of
from deployments.core.actors import PUSH_MARK, TOKEN_MARK, Actor, identity_in
from deployments.models import ApiToken, AuditEvent
from engine.errors import NotAllowed

HELD_FOR = timedelta(hours=72)
"""Long enough for an owner who finds themselves signed out to say so, weekends included."""
_LET_IN = ("person.recovered", "person.invited", "person.password_set")
"""The last one is of versions in which administrators chose passwords."""
_VOUCHED = "person.vouched_for"


def refuse_same_person(actor: Actor, requested_by: str, *, what: str) -> None:
    """Raise NotAllowed when `actor` answers for the request; roles and being a superuser make no difference.

    Who made a credential answers for what was asked with it, as its owner does.
    """
    known, people, asked = Responsibility(), actor.people, identity_in(requested_by)
    behind = known.people_behind(requested_by)
    if actor.identity == asked or people & behind - known.controllers_of(asked):
        raise NotAllowed(
            f"Whoever asked for {what} cannot be the one who decides about it.",
            hint="Ask a second person; being an administrator makes no difference.",
            reason="four_eyes",
        )
    if both := known.with_controllers(people) & behind:
        raise NotAllowed(
            f"{', '.join(sorted(both))} lately let in whoever asked for {what}, or whoever would decide about it.",
            hint="The two count as one person for three days, or until a third one vouches for the account (People).",
            reason="four_eyes",
        )


class Responsibility:
    """Who answers for what was asked and decided, by the audit trail, looked up once for each: for many questions at
    one moment."""

    def __init__(self) -> None:
        self._events: dict[str, list[AuditEvent]] = {}
        self._makers: dict[str, frozenset[str]] = {}

    def controllers_of(self, person: str, *, at: datetime | None = None) -> frozenset[str]:
        """Who recovered this account, or invited its owner, within three days before `at` (now), unvouched since.

        An invitation made by a team of one does not count, nor what the shell or the system did.
        """
        now = at or timezone.now()
        found = set()
        for event in self._of(person):
            if not now - HELD_FOR < event.at <= now:
                continue
            if event.name == _VOUCHED:
                break
            if not event.data.get("alone"):
                found.add(identity_in(event.actor))
        return frozenset(name for name in found if ":" not in name)

    def with_controllers(self, people: frozenset[str], *, at: datetime | None = None) -> frozenset[str]:
        """These people, and whoever else has their accounts in hand: also by an account that they have in hand."""
        found, new = people, people
        while new:
            new = frozenset[str]().union(*(self.controllers_of(name, at=at) for name in new if ":" not in name)) - found
            found |= new
        return found

    def people_behind(self, requested_by: str, *, at: datetime | None = None) -> frozenset[str]:
        """Who answers for a recorded actor: the person, who made a token of theirs by that name, who controls either.

        Of what a webhook asked for in a person's name: who made the source too, by the audit trail, for they know its
        secret.
        """
        if requested_by not in self._makers:
            self._makers[requested_by] = _makers(requested_by)
        return self.with_controllers(self._makers[requested_by], at=at)

    def _of(self, person: str) -> list[AuditEvent]:
        """What let somebody into this account, and who vouched for it, the last first."""
        if person not in self._events:
            rows = AuditEvent.objects.filter(subject=f"person:{person}", name__in=(*_LET_IN, _VOUCHED))
            self._events[person] = list(rows.order_by("-sequence"))
        return self._events[person]


def controllers_of(person: str, *, at: datetime | None = None) -> frozenset[str]:
    """Who controls this account beside its owner, asked now."""
    return Responsibility().controllers_of(person, at=at)


def with_controllers(people: frozenset[str], *, at: datetime | None = None) -> frozenset[str]:
    """These people and who controls their accounts, asked now."""
    return Responsibility().with_controllers(people, at=at)


def _makers(requested_by: str) -> frozenset[str]:
    person, mark, name = requested_by.partition(TOKEN_MARK)
    tokens = ApiToken.objects.filter(owner__username=person, name=name).select_related("owner") if mark else ()
    source = name.removeprefix(PUSH_MARK)
    made = AuditEvent.objects.filter(name="source.made", subject=f"source:{source}").values_list("actor", flat=True)
    makers = made if source != name else ()
    return frozenset({person, *(maker_of(token) for token in tokens), *map(identity_in, makers)})

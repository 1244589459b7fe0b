"""Who controls an account beside its owner: whoever made the link by which they came in could have used it."""

from datetime import datetime, timedelta

from django.utils import timezone

from deployments.core.actors import identity_in
from deployments.models import AuditEvent

HELD_FOR = timedelta(hours=72)
"""Long enough for an owner who finds themselves signed out to say so, weekends included."""
_LET_IN = ("person.recovered", "person.invited", "person.password_set")
"""The last one is of versions in which administrators chose passwords."""
_VOUCHED = "person.vouched_for"


class Accounts:
    """Who controls accounts by the audit trail, which is asked once about each: for many questions at one moment."""

    def __init__(self) -> None:
        self._events: dict[str, list[AuditEvent]] = {}

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

    def _of(self, person: str) -> list[AuditEvent]:
        """What let somebody into this account, and who vouched for it, the last first."""
        if person not in self._events:
            rows = AuditEvent.objects.filter(subject=f"person:{person}", name__in=(*_LET_IN, _VOUCHED))
            self._events[person] = list(rows.order_by("-sequence"))
        return self._events[person]


def controllers_of(person: str, *, at: datetime | None = None) -> frozenset[str]:
    """The same of one account, asked now."""
    return Accounts().controllers_of(person, at=at)


def with_controllers(people: frozenset[str], *, at: datetime | None = None) -> frozenset[str]:
    """The same of these people, asked now."""
    return Accounts().with_controllers(people, at=at)

"""What the audit trail says of one deployment: a row in a table counts for as much as the events that go with it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple

from deployments.access.four_eyes import Responsibility
from deployments.access.policy import still_may
from deployments.access.verbs import Verb
from deployments.core.actors import identity_in
from deployments.lifecycle import Kind
from deployments.models import Approval, AuditEvent, Deployment
from deployments.snapshot import Snapshot

_READ = ("at", "actor", "name", "data")


class _Event(NamedTuple):
    """What is read of an event: of many, that is much less than the whole."""

    at: datetime
    actor: str
    name: str
    data: dict[str, Any]


@dataclass(frozen=True)
class Evidence:
    """A deployment and its events, read once; its approvals as they are, unless they were read with others'."""

    deployment: Deployment
    events: Sequence[_Event]
    responsibility: Responsibility = field(default_factory=Responsibility)
    approvals: Sequence[Approval] | None = None

    @classmethod
    def of(cls, deployment: Deployment) -> "Evidence":
        """The events of a deployment's subject."""
        rows = AuditEvent.objects.filter(subject=f"deployment:{deployment.pk}").order_by()
        return cls(deployment, [_Event(*row) for row in rows.values_list(*_READ)])

    @classmethod
    def of_all(cls, deployments: Sequence[Deployment]) -> "dict[int, Evidence]":
        """The same of many, by number. Two queries, and those about people once for all of them."""
        if not deployments:
            return {}
        events: dict[str, list[_Event]] = {f"deployment:{row.pk}": [] for row in deployments}
        rows = AuditEvent.objects.filter(subject__in=events).order_by().values_list("subject", *_READ)
        for subject, *read in rows:
            events[subject].append(_Event(*read))
        approvals: dict[int, list[Approval]] = {row.pk: [] for row in deployments}
        for approval in Approval.objects.filter(deployment__in=approvals).order_by():
            approvals[approval.deployment_id].append(approval)
        known = Responsibility()
        return {row.pk: cls(row, events[f"deployment:{row.pk}"], known, approvals[row.pk]) for row in deployments}

    @cached_property
    def sealed(self) -> Snapshot:
        """What it was sealed with. Raises InvalidRequest when that cannot be read."""
        return self.deployment.sealed

    @property
    def requested(self) -> bool:
        """Whether somebody asked for it under this very seal, as whoever its row names and by the way it says."""
        row = self.deployment
        first = "deployment.break_glass" if row.break_glass else f"{row.kind}.requested"
        # a rollback that waited is sealed again when its turn comes
        sealing = {first, "rollback.queued"} if row.kind == Kind.ROLLBACK else {first}
        asked = any(event.name == first and event.actor == row.requested_by for event in self.events)
        return asked and any(event.name in sealing and event.data.get("seal") == row.seal for event in self.events)

    @property
    def succeeded(self) -> bool:
        """Whether its success was written by whoever carried it out."""
        return any(event.name == f"{self.deployment.kind}.succeeded" for event in self.events)

    @property
    def reviewed(self) -> bool:
        """Whether somebody else has looked at its use of break-glass."""
        return any(event.name == "deployment.reviewed" and self._by_another(event) for event in self.events)

    def approvers(self) -> set[str]:
        """Who has approved this seal, other than who answers for the request, by the row and by the trail."""
        row = self.deployment
        given = {
            each.actor
            for each in (row.approvals.all() if self.approvals is None else self.approvals)
            if each.decision == Approval.Decision.APPROVED and each.seal == row.seal
        }
        heard = {
            identity_in(event.actor)
            for event in self.events
            if event.name == "deployment.approved" and event.data.get("seal") == row.seal and self._by_another(event)
        }
        return given & heard

    def _by_another(self, event: _Event) -> bool:
        """Whether nobody who answers for the request had a hand in this decision, when it was made."""
        behind = self.responsibility.people_behind(self.deployment.requested_by, at=event.at)
        return not self.responsibility.with_controllers(frozenset({identity_in(event.actor)}), at=event.at) & behind

    def standing_approvers(self) -> set[str]:
        """Those of them who hold the role now."""
        return {name for name in self.approvers() if still_may(name, Verb.APPROVE, self.deployment.environment)}

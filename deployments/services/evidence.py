"""What the audit trail says of one deployment: a row in a table counts for as much as the events that go with it."""

from django.db.models import QuerySet

from deployments.lifecycle import Kind
from deployments.models import Approval, AuditEvent, Deployment
from deployments.services.access import identity_in


def request_on_record(deployment: Deployment) -> bool:
    """Whether somebody asked for it under this very seal, as whoever its row names and by the way it says."""
    first = "deployment.break_glass" if deployment.break_glass else f"{deployment.kind}.requested"
    anew = "rollback.queued"  # a rollback that waited is sealed again when its turn comes
    events = list(_events(deployment, first, *([anew] if deployment.kind == Kind.ROLLBACK else [])))
    asked = any(event.name == first and event.actor == deployment.requested_by for event in events)
    return asked and any(event.data.get("seal") == deployment.seal for event in events)


def success_on_record(deployment: Deployment) -> bool:
    """Whether its success was written by whoever carried it out."""
    return _events(deployment, f"{deployment.kind}.succeeded").exists()


def reviewed_on_record(deployment: Deployment) -> bool:
    """Whether somebody else has looked at its use of break-glass."""
    asked = identity_in(deployment.requested_by)
    return any(identity_in(event.actor) != asked for event in _events(deployment, "deployment.reviewed"))


def approvers_on_record(deployment: Deployment) -> set[str]:
    """Who has approved this seal, other than its requester, by the row and by the trail."""
    if deployment.kind != Kind.DEPLOYMENT:
        return set()
    rows = deployment.approvals.filter(decision=Approval.Decision.APPROVED, seal=deployment.seal)
    told = {
        identity_in(event.actor)
        for event in _events(deployment, "deployment.approved")
        if event.data.get("seal") == deployment.seal
    }
    return (set(rows.values_list("actor", flat=True)) & told) - {identity_in(deployment.requested_by)}


def approvals_on_record(deployment: Deployment) -> int:
    """How many they are."""
    return len(approvers_on_record(deployment))


def _events(deployment: Deployment, *names: str) -> QuerySet[AuditEvent]:
    return AuditEvent.objects.filter(subject=f"deployment:{deployment.pk}", name__in=names)

"""Approve a waiting deployment."""

from argparse import ArgumentParser
from typing import Any

from deployments.core import selectors
from deployments.lifecycle import Status
from deployments.management.base import PortalCommand
from deployments.requests.approvals import approve
from deployments.requests.seals import approvals_given, approvals_needed


class Command(PortalCommand):
    """`approve ID [--comment TEXT]`."""

    help = "Approve a deployment that somebody else requested. Needs a person: a token, or a password when asked."

    def arguments(self, parser: ArgumentParser) -> None:
        """Which, and what to say."""
        parser.add_argument("deployment", type=int)
        parser.add_argument("--comment", default="", help="kept in the audit trail and shown to the requester")

    def run(self, options: dict[str, Any]) -> int:
        """Approve; 0 also while more approvals are needed, since this one is done."""
        deployment = selectors.deployment_numbered(options["deployment"])
        actor = self.actor("approve", deployment.environment)
        after = approve(actor=actor, deployment=deployment, comment=options["comment"])
        given, needed = approvals_given(after), approvals_needed(after)
        if self.as_json:
            self.emit({"deployment": after.pk, "status": after.status, "approvals": given, "needed": needed})
        elif after.status == Status.AWAITING_APPROVAL:
            self.say(f"Approved by {actor}: {given} of {needed}. Deployment {after.pk} waits for the others.")
        else:
            self.say(f"Approved by {actor}. Deployment {after.pk} of {after.release} to {after.environment} is queued.")
        return 0

"""Approve a waiting deployment."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from deployments.access.policy import require
from deployments.access.signatures import NAMESPACE, approving
from deployments.access.verbs import Verb
from deployments.core import selectors
from deployments.core.actors import Actor
from deployments.lifecycle import Status
from deployments.management.base import PortalCommand
from deployments.management.numbers import RECORD
from deployments.models import Deployment
from deployments.requests.approvals import approve
from deployments.requests.seals import approvals_given, approvals_needed
from engine.ssh.signatures import sign


class Command(PortalCommand):
    """`approve ID [--sign-with KEY] [--comment TEXT]`."""

    help = "Approve a deployment that somebody else requested. Needs a person: a token, or a password when asked."

    def arguments(self, parser: ArgumentParser) -> None:
        """Which, and what to say."""
        parser.add_argument("deployment", type=RECORD)
        parser.add_argument(
            "--sign-with",
            type=Path,
            metavar="KEY",
            help="sign the seal with this private key (or the .pub of an agent's key, or a security key's file)",
        )
        parser.add_argument("--comment", default="", help="kept in the audit trail and shown to the requester")

    def run(self, options: dict[str, Any]) -> int:
        """Approve; 0 also while more approvals are needed, since this one is done."""
        deployment = selectors.deployment_numbered(options["deployment"])
        actor = self.actor(Verb.APPROVE, deployment.environment)
        signature = self.signature(deployment, actor, options["sign_with"])
        after = approve(actor=actor, deployment=deployment, comment=options["comment"], signature=signature)
        given, needed = approvals_given(after), approvals_needed(after)
        if self.as_json:
            self.emit({"deployment": after.pk, "status": after.status, "approvals": given, "needed": needed})
        elif after.status == Status.AWAITING_APPROVAL:
            self.say(f"Approved by {actor}: {given} of {needed}. Deployment {after.pk} waits for the others.")
        else:
            self.say(f"Approved by {actor}. Deployment {after.pk} of {after.release} to {after.environment} is queued.")
        return 0

    def signature(self, deployment: Deployment, actor: Actor, key: Path | None) -> str:
        """By the key that was named; empty without one."""
        if key is None:
            return ""
        require(actor, Verb.APPROVE, deployment.environment)  # nobody touches a key for what is refused anyway
        return sign(approving(deployment, actor.identity), key=key, namespace=NAMESPACE)

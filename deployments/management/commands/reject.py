"""Reject a waiting deployment."""

from argparse import ArgumentParser
from typing import Any

from deployments.access.verbs import Verb
from deployments.core import selectors
from deployments.management.base import PortalCommand
from deployments.management.numbers import RECORD
from deployments.requests.approvals import reject


class Command(PortalCommand):
    """`reject ID --reason TEXT`."""

    help = "Reject a deployment that somebody else requested. Needs a person: a token, or a password when asked."

    def arguments(self, parser: ArgumentParser) -> None:
        """Which, and why."""
        parser.add_argument("deployment", type=RECORD)
        parser.add_argument("--reason", default="", help="what should change; the requester reads it")

    def run(self, options: dict[str, Any]) -> int:
        """Reject."""
        deployment = selectors.deployment_numbered(options["deployment"])
        actor = self.actor(Verb.APPROVE, deployment.environment)
        after = reject(actor=actor, deployment=deployment, comment=options["reason"])
        if self.as_json:
            self.emit({"deployment": after.pk, "status": after.status, "sentence": after.sentence})
        self.say(f"Deployment {after.pk} is rejected.")
        return 0

"""Verify what runs on an environment's servers."""

from argparse import ArgumentParser
from typing import Any

from deployments.access.verbs import Verb
from deployments.core import selectors
from deployments.management.base import PortalCommand
from deployments.management.findings import print_findings
from deployments.servers.inspection import verify_environment


class Command(PortalCommand):
    """`verify E`."""

    help = "Run the verification of a deployment on what runs now; changes nothing."

    def arguments(self, parser: ArgumentParser) -> None:
        """The environment."""
        parser.add_argument("environment")

    def run(self, options: dict[str, Any]) -> int:
        """One line per server; 1 when one is not well."""
        environment = selectors.environment_named(options["environment"])
        findings = verify_environment(actor=self.actor(Verb.VERIFY, environment), environment=environment)
        return print_findings(self, environment, findings)

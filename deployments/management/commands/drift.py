"""Compare servers with their records."""

from argparse import ArgumentParser
from typing import Any

from deployments.access.verbs import Verb
from deployments.core import selectors
from deployments.management.base import PortalCommand
from deployments.management.findings import print_findings
from deployments.models import Environment
from deployments.servers.inspection import find_drift


class Command(PortalCommand):
    """`drift [E]`."""

    help = "Compare every server with its record: release, files, units, configuration, secrets."

    def arguments(self, parser: ArgumentParser) -> None:
        """The environment, or all."""
        parser.add_argument("environment", nargs="?")

    def run(self, options: dict[str, Any]) -> int:
        """One line per server; 1 when one differs."""
        named = options["environment"]
        environments = [selectors.environment_named(named)] if named else list(Environment.objects.all())
        codes = []
        for environment in environments:
            findings = find_drift(actor=self.actor(Verb.VERIFY, environment), environment=environment)
            codes.append(print_findings(self, environment, findings))
        return max(codes, default=0)

"""Printing what was found on servers."""

from dataclasses import asdict

from deployments.management.base import PortalCommand
from deployments.models import Environment
from deployments.servers.inspection import Finding


def print_findings(command: PortalCommand, environment: Environment, findings: list[Finding]) -> int:
    """One line (or JSON object) per server; returns 0 when all are well, else 1."""
    if command.as_json:
        command.emit({"environment": str(environment), "servers": [asdict(finding) for finding in findings]})
    words = {True: "ok", False: "NOT OK", None: "NO ANSWER"}
    for finding in findings:
        command.say(f"{finding.server}: {words[finding.well]}. {finding.sentence}")
    if not findings:
        command.say(f"Nothing has been deployed to {environment} yet.")
    return 0 if all(finding.well for finding in findings) else 1

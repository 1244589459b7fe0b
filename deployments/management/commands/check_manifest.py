"""Explain every mistake in a deploy.toml."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from deployments.management.base import PortalCommand
from engine.artifacts.check import check_deploy_toml


class Command(PortalCommand):
    """`check_manifest DIR`."""

    help = "Check the deploy.toml of a directory and explain every mistake."

    def arguments(self, parser: ArgumentParser) -> None:
        """The directory."""
        parser.add_argument("directory", type=Path)

    def run(self, options: dict[str, Any]) -> int:
        """Print each problem; 1 when there is one."""
        problems = check_deploy_toml(options["directory"])
        if self.as_json:
            self.emit([{"key": problem.key, "wrong": problem.wrong, "hint": problem.hint} for problem in problems])
        for problem in problems:
            self.say(f"{problem}")
        if not problems:
            self.say(f"{options['directory']} can be deployed.")
        return 1 if problems else 0

"""Add a server, with the host key that a person confirmed."""

import sys
from argparse import ArgumentParser
from typing import Any

from deployments.core import selectors
from deployments.management.base import PortalCommand
from deployments.servers.enrolment import enrol_server
from engine.artifacts.deploy_toml import ROLES
from engine.ssh.keys import HostKey


class Command(PortalCommand):
    """`enroll NAME --environment E --host H [--port] [--user] [--role …] [--fingerprint SHA256:…]`."""

    help = "Add a server and pin its host key after its fingerprint was confirmed."

    def arguments(self, parser: ArgumentParser) -> None:
        """Where the server is and what it is for."""
        parser.add_argument("name")
        parser.add_argument("--environment", required=True, metavar="E", help="test or production")
        parser.add_argument("--host", required=True, help="name or address")
        parser.add_argument("--port", type=int, default=22, help="of sshd (default: 22)")
        parser.add_argument("--user", default="rosey", help="the account that deploys (default: rosey)")
        parser.add_argument("--role", action="append", choices=ROLES, help="repeatable (default: bot)")
        parser.add_argument("--fingerprint", default="", help="SHA256:… as read on the server's console")

    def run(self, options: dict[str, Any]) -> int:
        """Read the key, compare or ask, record."""
        environment = selectors.environment_named(options["environment"])
        before = selectors.pinned_fingerprint(options["name"])
        server = enrol_server(
            actor=self.actor("enrol", environment),
            name=options["name"],
            environment=environment,
            host=options["host"],
            port=options["port"],
            user=options["user"],
            roles=options["role"] or ["bot"],
            fingerprint=options["fingerprint"],
            confirm=self.confirm,
        )
        if self.as_json:
            self.emit(
                {
                    "server": server.name,
                    "environment": environment.name,
                    "fingerprint": server.fingerprint,
                    "fingerprint_before": before,
                    "public_key": environment.public_key,
                }
            )
        self.say(f"{server.name} ({server.host}:{server.port}) is enrolled in {environment}; {server.fingerprint}.")
        if before not in ("", server.fingerprint):
            self.say(f"{before} is no longer trusted there; what waits for approval with it is void.")
        self.say(f"Next: manage.py provision {server.name} (it installs the key {environment.public_key}).")
        return 0

    def confirm(self, key: HostKey, pinned: str) -> bool:
        """Show the fingerprint, and another one that is pinned, to a person; without a terminal nothing is trusted."""
        if pinned not in ("", key.fingerprint):
            self.stderr.write(f"{pinned} is pinned, and the server shows another key: it was installed anew, its key")
            self.stderr.write("was changed, or somebody is between us and the server.")
        self.stderr.write(f"The server shows the {key.type} host key {key.fingerprint}.")
        self.stderr.write("Compare it on its console: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub")
        if not sys.stdin.isatty():
            self.stderr.write("Give it as --fingerprint when nobody can answer here.")
            return False
        return input("Is it the same? Type yes: ").strip() == "yes"

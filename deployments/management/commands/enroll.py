"""Add a server, with the host key that a person confirmed."""

import sys
from argparse import ArgumentParser
from functools import partial
from typing import Any

from deployments.access.verbs import Verb
from deployments.core import selectors
from deployments.environments.machines import known_as
from deployments.management.base import PortalCommand
from deployments.management.numbers import Whole
from deployments.servers.enrolment import Jump, enrol_server
from deployments.servers.next_steps import after_enrolling
from engine.artifacts.values import ROLES
from engine.errors import InvalidRequest
from engine.ssh.address import JumpHost
from engine.ssh.keys import HostKey


class Command(PortalCommand):
    """`enroll NAME --environment E --host H [--port] [--user] [--role …] [--fingerprint SHA256:…] [--jump …]`."""

    name = ""
    help = "Add a server and pin its host key after its fingerprint was confirmed."

    def arguments(self, parser: ArgumentParser) -> None:
        """Where the server is and what it is for."""
        parser.add_argument("name")
        parser.add_argument("--environment", required=True, metavar="E", help="test or production")
        parser.add_argument("--host", required=True, help="name or address")
        parser.add_argument("--port", type=Whole(1, 65535), default=22, help="of sshd (default: 22)")
        parser.add_argument(
            "--user", default="", help="the account that deploys (default: rosey; beside another application its own)"
        )
        parser.add_argument("--role", action="append", choices=ROLES, help="repeatable (default: bot)")
        parser.add_argument("--fingerprint", default="", help="SHA256:… as read on the server's console")
        parser.add_argument(
            "--jump", metavar="USER@HOST[:PORT]", help="the host that every connection to the server goes through"
        )
        parser.add_argument("--jump-fingerprint", default="", help="SHA256:… as read on the jump host's console")

    def run(self, options: dict[str, Any]) -> int:
        """Read the key, compare or ask, record."""
        environment = selectors.environment_named(options["environment"])
        self.name = options["name"]
        before = selectors.pinned_fingerprint(self.name)
        server = enrol_server(
            actor=self.actor(Verb.ENROL, environment),
            name=options["name"],
            environment=environment,
            host=options["host"],
            port=options["port"],
            user=options["user"],
            roles=options["role"] or ["bot"],
            fingerprint=options["fingerprint"],
            confirm=self.confirm,
            jump=self.jump(options),
        )
        if self.as_json:
            self.emit(
                {
                    "server": server.name,
                    "environment": str(environment),
                    "fingerprint": server.fingerprint,
                    "fingerprint_before": before,
                    "public_key": environment.public_key,
                    "jump": server.jump,
                    "looked_at": server.inspected_at,
                }
            )
        self.say(f"{server.name} ({server.host}:{server.port}) is enrolled in {environment}; {server.fingerprint}.")
        if server.jump:
            self.say(f"Every connection goes through {server.jump}; the health page asks {server.host} directly.")
        for said in filter(None, (known_as(server.host_key, server.name), after_enrolling(server))):
            self.say(said)
        if before not in ("", server.fingerprint):
            self.say(f"{before} is no longer trusted there; what waits for approval with it is void.")
        if server.current_release and server.inspected_at is None:
            self.say("Nobody has looked since at what is there: what the record says of it is of before.")
        self.say(f"Next: manage.py provision {server.name} (it installs the key {environment.public_key}).")
        return 0

    def jump(self, options: dict[str, Any]) -> Jump | None:
        """The jump host that was named. Raises InvalidRequest."""
        if not options["jump"]:
            if options["jump_fingerprint"]:
                raise InvalidRequest("--jump-fingerprint is of a jump host: name it with --jump.")
            return None
        confirm = partial(self.confirm, whose="jump host", option="--jump-fingerprint")
        return Jump(JumpHost.parse(options["jump"]), options["jump_fingerprint"], confirm)

    def confirm(self, key: HostKey, pinned: str, *, whose: str = "server", option: str = "--fingerprint") -> bool:
        """Show the fingerprint, and another one that is pinned, to a person; without a terminal nothing is trusted."""
        if pinned not in ("", key.fingerprint):
            self.stderr.write(f"{pinned} is pinned, and the {whose} shows another key: it was installed anew, its key")
            self.stderr.write(f"was changed, or somebody is between us and the {whose}.")
        self.stderr.write(f"The {whose} shows the {key.type} host key {key.fingerprint}.")
        if also := known_as(str(key), self.name) if whose == "server" else "":
            self.stderr.write(also)
        self.stderr.write("Compare it on its console: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub")
        if not sys.stdin.isatty():
            self.stderr.write(f"Give it as {option} when nobody can answer here.")
            return False
        return input("Is it the same? Type yes: ").strip() == "yes"

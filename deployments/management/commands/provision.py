"""Make a server ready for its roles."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from deployments import selectors
from deployments.errors import InvalidRequest
from deployments.management.base import PortalCommand
from deployments.remote.provisioning import Report
from deployments.services.provisioning import changed, provision_server
from deployments.ssh.keys import PrivateKey


class Command(PortalCommand):
    """`provision NAME [--plan]`."""

    help = "Make users, tree, sudoers, units and firewall of a server, through an account that may become root."

    def arguments(self, parser: ArgumentParser) -> None:
        """The server, the bootstrap account, and whether anything may change."""
        parser.add_argument("name")
        parser.add_argument("--plan", action="store_true", help="show what would change and change nothing")
        parser.add_argument("--release", help="whose units to install (default: the newest release)")
        parser.add_argument("--bootstrap-user", default="root", help="root, or an account with sudo (default: root)")
        parser.add_argument(
            "--bootstrap-key",
            type=Path,
            default=Path("~/.ssh/id_ed25519"),
            help="its private key, without a passphrase (default: ~/.ssh/id_ed25519); it is not stored",
        )

    def run(self, options: dict[str, Any]) -> int:
        """Read the key, apply, tell what changed."""
        server = selectors.server_named(options["name"])
        release = (
            selectors.release_named(options["release"])
            if options["release"]
            else selectors.newest_release(server.environment.application)
        )
        path = options["bootstrap_key"].expanduser()
        try:
            key = PrivateKey(path.read_text())
        except OSError as error:
            raise InvalidRequest(
                f"The bootstrap key {path} cannot be read ({error.strerror}).", hint="Name it with --bootstrap-key."
            ) from error
        reports = provision_server(
            actor=self.actor("provision", server.environment),
            server=server,
            release=release,
            bootstrap_user=options["bootstrap_user"],
            bootstrap_key=key,
            plan=options["plan"],
            on_report=self.show,
        )
        changes = changed(reports)
        if self.as_json:
            self.emit(
                {
                    "server": server.name,
                    "plan": options["plan"],
                    "changed": [{"what": report.name, "sentence": report.sentence} for report in changes],
                    "unchanged": len(reports) - len(changes),
                }
            )
        elif not changes:
            self.say(f"{server.name} is as it should be: nothing {'would change' if options['plan'] else 'changed'}.")
        else:
            would = "would change" if options["plan"] else "changed"
            self.say(f"{server.name}: {len(changes)} of {len(reports)} things {would}.")
        return 0

    def show(self, report: Report) -> None:
        """One line for everything that is not as it was."""
        if report.state != "ok":
            self.say(f"  {report.sentence}")

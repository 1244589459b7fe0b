"""Make a server ready for its roles."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.urls import reverse

from deployments.access.verbs import Verb
from deployments.core import selectors
from deployments.management.base import PortalCommand
from deployments.management.bootstrap import bootstrap_arguments, bootstrap_of
from deployments.management.provisioned import Brief
from deployments.management.texts import one_line
from deployments.models import Release, Server
from deployments.operations.ending import end_provisioning
from deployments.operations.provisioning_here import provision_here
from deployments.servers.next_steps import after_provisioning
from deployments.servers.provisioning import changed, provision_server, release_to_provision
from engine.remote.reports import Report


class Command(PortalCommand):
    """`provision NAME [--plan | --end] [--firewall own|strict]`."""

    help = "Make users, tree, sudoers, units and firewall of a server, through an account that may become root."

    def arguments(self, parser: ArgumentParser) -> None:
        """The server, the bootstrap account, and whether anything may change."""
        parser.add_argument("name")
        parser.add_argument("--plan", action="store_true", help="show what would change and change nothing")
        parser.add_argument(
            "--end", action="store_true", help="end one whose process is gone, so that what waits goes on"
        )
        parser.add_argument("--release", help="whose units to install (default: the release that is live there)")
        parser.add_argument(
            "--firewall",
            choices=["own", "strict"],
            help="what it closes: our own private ports, or every port but those named (default: as recorded, own)",
        )
        bootstrap_arguments(parser)

    def run(self, options: dict[str, Any]) -> int:
        """Read the key, apply, tell what changed and what comes next."""
        server = selectors.server_named(options["name"])
        if options["end"]:
            return self.end(server)
        chosen, application = options["release"], server.environment.application
        release = selectors.release_named(chosen, application) if chosen else self.release_for(server)
        brief = Brief(self.say)
        wanted: dict[str, Any] = {
            "actor": self.actor(Verb.PROVISION, server.environment),
            "server": server,
            "release": release,
            "bootstrap": bootstrap_of(options),
            "strict_firewall": options["firewall"] and options["firewall"] == "strict",
        }
        if options["plan"]:
            reports = provision_server(plan=True, on_report=self.show, **wanted)
            code = self.conclude(server, reports, "would change")
            if changed(reports):
                self.say(f"Next: manage.py provision {server.name} changes it.")
            return code
        try:
            record, reports = provision_here(on_report=brief, **wanted)
        finally:
            brief.close()
        code = self.conclude(server, reports, "changed", operation=record.pk)
        if changed(reports):
            where = reverse("admin:deployments_operation_change", args=[record.pk])
            self.say(f"Every line of it: {settings.PORTAL_URL}{where}")
        server.refresh_from_db()
        self.say(after_provisioning(server, release))
        return code

    def conclude(self, server: Server, reports: list[Report], would: str, **more: Any) -> int:
        """How much of it is, or would be, another than it was."""
        changes = changed(reports)
        if self.as_json:
            named = [
                {"what": report.name, "sentence": report.sentence, "difference": report.difference}
                for report in changes
            ]
            plan, unchanged = would != "changed", len(reports) - len(changes)
            self.emit({"server": server.name, "plan": plan, "changed": named, "unchanged": unchanged, **more})
        elif not changes:
            self.say(f"{server.name} is as it should be: nothing {would}.")
        else:
            self.say(f"{server.name}: {len(changes)} of {len(reports)} things {would}.")
        return 0

    def end(self, server: Server) -> int:
        """One that nobody is at any more."""
        row = end_provisioning(actor=self.actor(Verb.CANCEL, server.environment), server=server)
        if self.as_json:
            self.emit({"server": server.name, "operation": row.pk, "state": row.state})
        self.say(f"{row} has ended. What waited for it goes on.")
        return 0

    def release_for(self, server: Server) -> Release:
        """What is live there, or else what is said: nothing is installed that nobody has looked at."""
        release, why = release_to_provision(server)
        if why:
            self.say(f"Units are those of {release}, {why}.")
        return release

    def show(self, report: Report) -> None:
        """One line for everything that is not as it was, and below it how a unit differs."""
        if report.state != "ok":
            self.say(f"  {report.sentence}")
            for line in report.difference:
                self.say(f"      {line[:1]}{one_line(line[1:])}")

"""Showing a plan: what would happen on each server, without changing anything."""

from dataclasses import asdict
from typing import Any

from deployments.core import selectors
from deployments.core.texts import spoken
from deployments.management.base import PortalCommand
from deployments.models import Environment, Release
from deployments.requests.hook_effects import no_way_back
from deployments.requests.server_plans import ServerPlan, server_plans
from deployments.snapshot import Snapshot


def plan_document(environment: Environment, release: Release, snapshot: Snapshot) -> dict[str, Any]:
    """Servers, files, expected seconds and seal of a snapshot, with the snapshot itself."""
    return {
        "seal": snapshot.seal,
        "expected_seconds": selectors.expected_seconds(environment, snapshot.kind),
        "servers": [_server(plan) for plan in server_plans(release, snapshot)],
        "snapshot": snapshot.to_json(),
    }


def print_plan(command: PortalCommand, environment: Environment, release: Release, snapshot: Snapshot) -> None:
    """Print (or emit as JSON) servers, files, configuration, secrets and policy of a snapshot."""
    document = plan_document(environment, release, snapshot)
    if command.as_json:
        command.emit(document)
        return
    command.say(f"{release} → {environment}, in this order; nothing has been changed:")
    for server in document["servers"]:
        command.say(
            f"  {server['server']}: from {server['from'] or 'nothing'}; {server['added']} files new, "
            f"{server['changed']} changed, {server['removed']} gone; {server['bytes'] / 1e6:.1f} MB to send"
        )
        if server["units"]:
            command.say(f"    units that change with it: {', '.join(server['units'])}")
        command.say(f"    secrets: {', '.join(server['secrets']) or 'none'}")
    if snapshot.course:
        command.say(f"  servers: {snapshot.course}")
    plan = snapshot.carried_out
    command.say(f"  steps: {' → '.join(plan.steps)}")
    for hook in plan.hooks:
        command.say(f"  {hook.moment} on servers with the role {hook.role}: {hook.shown}")
        command.say(f"    {hook.words}")
    if lasting := no_way_back(plan.hooks):
        command.say(f"  {lasting}")
    command.say(f"  configuration: {', '.join(snapshot.configuration.files) or 'none'}")
    needed, expected = snapshot.policy.approvals_required, document["expected_seconds"]
    command.say(f"  approvals needed: {needed}; on failure: {snapshot.policy.on_failure}")
    command.say(f"  expected: {spoken(expected)}" if expected is not None else "  expected: unknown, the first one")
    command.say(f"  seal: {document['seal']}")


def _server(plan: ServerPlan) -> dict[str, Any]:
    named = asdict(plan)
    return {"server": named.pop("server"), "secrets": named.pop("secrets"), "from": named.pop("base"), **named}

"""Showing a plan: what would happen on each server, without changing anything."""

from typing import Any

from deployments.core import selectors
from deployments.lifecycle import Kind
from deployments.management.base import PortalCommand
from deployments.models import Environment, Release
from deployments.releases import artifacts
from deployments.releases.role_plans import manifest_for
from deployments.requests.snapshot import Snapshot, seal
from engine.artifacts.manifest import Manifest


def plan_document(environment: Environment, release: Release, snapshot: Snapshot) -> dict[str, Any]:
    """Servers, files, expected seconds and seal of a snapshot, with the snapshot itself."""
    return {
        "seal": seal(snapshot),
        "expected_seconds": selectors.expected_seconds(environment, Kind(snapshot["kind"])),
        "servers": [_server(release, target) for target in snapshot["targets"]],
        "snapshot": snapshot,
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
        command.say(f"    secrets: {', '.join(server['secrets']) or 'none'}")
    command.say(f"  steps: {' → '.join(snapshot['plan']['steps'])}")
    command.say(f"  configuration: {', '.join(snapshot['configuration']['files']) or 'none'}")
    needed, expected = snapshot["policy"]["approvals_required"], document["expected_seconds"]
    command.say(f"  approvals needed: {needed}; on failure: {snapshot['policy']['on_failure']}")
    command.say(f"  expected: {expected:.1f} s" if expected is not None else "  expected: unknown, the first one")
    command.say(f"  seal: {document['seal']}")


def _server(release: Release, target: dict[str, Any]) -> dict[str, Any]:
    with artifacts.open_release(release) as reader:
        manifest = manifest_for(reader, target["roles"])
    base = Release.objects.filter(identifier=target["base"]["release"]).first() if target["base"] else None
    old = artifacts.manifest_on_servers(base, target["roles"]) if base is not None else Manifest([])
    diff = manifest.diff(old)
    known = {file.sha256 for file in old.files}
    return {
        "server": target["server"],
        "secrets": [f"{name} v{version}" for name, version in target["secrets"].items()],
        "from": base.identifier if base else None,
        "added": len(diff.added),
        "changed": len(diff.changed),
        "removed": len(diff.removed),
        "bytes": sum(file.size for file in manifest.files if file.sha256 not in known),
    }

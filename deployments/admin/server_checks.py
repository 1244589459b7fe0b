"""Looking at a server now: whether what runs there is well, and as the record says. Nothing is changed."""

from collections.abc import Sequence
from typing import Any

from deployments.access.verbs import Verb
from deployments.admin.confirmations import Confirmation
from deployments.core.actors import Actor
from deployments.models import Server
from deployments.servers.inspection import Finding, compare_server, verify_server
from engine.errors import TargetError


class _Look(Confirmation[Server]):
    """Ask it; one click, since nothing changes."""

    verb = Verb.VERIFY
    at_once = True

    def offered(self, obj: Server, actor: Actor) -> bool:
        """Where something runs."""
        return obj.state == Server.State.PROVISIONED and obj.current_release_id is not None


class VerifyServer(_Look):
    """The questions of a deployment's verification."""

    slug = "verify"
    label = "Verify"
    icon = "health_and_safety"

    def consequences(self, obj: Server) -> Sequence[str]:
        """What is asked."""
        return [f"{obj} is asked the questions of a deployment's verification. Nothing is changed."]

    def perform(self, *, actor: Actor, obj: Server, data: dict[str, Any]) -> str:
        """Verify; what is not well is told as a refusal."""
        found = verify_server(actor=actor, server=obj)
        if not found.well:
            raise TargetError(f"{obj}: {found.sentence}", hint="Its journal may say more.", reason="not_well")
        return f"{obj}: {found.sentence}"


class CheckDrift(_Look):
    """What the hourly look looks at, now."""

    slug = "drift"
    label = "Compare now"
    icon = "difference"

    def consequences(self, obj: Server) -> Sequence[str]:
        """What is compared."""
        return [
            f"{obj} is compared with its record: release, files, units, configuration, secrets. Nothing is changed."
        ]

    def perform(self, *, actor: Actor, obj: Server, data: dict[str, Any]) -> str:
        """Compare; what differs stands on the page then."""
        found = compare_server(actor=actor, server=obj)
        _refuse_silent(obj, found)
        return f"{obj} was compared with its record: {found.sentence}"


def _refuse_silent(server: Server, found: Finding) -> None:
    if found.well is None:
        raise TargetError(f"{server} could not be compared: {found.sentence}", reason="not_compared")

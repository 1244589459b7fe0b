"""Ending a provisioning whose process is gone: the button and its page."""

from collections.abc import Sequence
from typing import Any

from deployments.access.verbs import Verb
from deployments.admin.confirmations import Confirmation
from deployments.core.actors import Actor
from deployments.core.processes import silence
from deployments.models import Environment, Operation
from deployments.operations.ending import end_provisioning


class EndProvisioning(Confirmation[Operation]):
    """A provisioning that nobody is at any more."""

    slug = "end"
    label = "End"
    icon = "link_off"
    tone = "bad"
    verb = Verb.CANCEL

    def offered(self, obj: Operation, actor: Actor) -> bool:
        """Where its process is not known to live."""
        return bool(silence(obj))

    def environment(self, obj: Operation) -> Environment | None:
        """Its server's."""
        return obj.server.environment

    def consequences(self, obj: Operation) -> Sequence[str]:
        """What goes on, and what stays as it is."""
        return [
            silence(obj),
            "What waits for it, a rollback too, begins at once. Should its process be at work after all, both change "
            "the server until that one notices, with the next thing that it reports.",
            f"What was done on {obj.server} stays so: provision it again.",
        ]

    def perform(self, *, actor: Actor, obj: Operation, data: dict[str, Any]) -> str:
        """Write that it is over."""
        return f"{end_provisioning(actor=actor, server=obj.server)} has ended. What waited for it goes on."

"""Asking for the same release again: after a success, and after an end that was none."""

from collections.abc import Sequence
from typing import Any

from deployments.access.verbs import Verb
from deployments.admin.confirmations import Confirmation, Made
from deployments.admin.forms import PageForm, switch, text
from deployments.core.actors import Actor
from deployments.lifecycle import FINAL, Kind, Status
from deployments.models import Deployment
from deployments.requests.requests import request_deployment


class AgainForm(PageForm):
    """Why again."""

    reason = text("Reason", required=False, help_text="Shown to whoever approves.")
    break_glass = switch(
        "Break-glass: do not wait for approval",
        help_text="Needs a reason, is announced loudly, and stays marked until a second person has reviewed it.",
    )

    def prepare(self) -> None:
        """Break-glass only where there is something to break."""
        if self.subject is not None and not self.subject.environment.protected:
            del self.fields["break_glass"]


class Again(Confirmation[Deployment]):
    """The same release once more, as a new request with a new seal."""

    verb = Verb.REQUEST
    icon = "replay"
    form_class = AgainForm

    def title(self, obj: Deployment) -> str:
        """What and where."""
        return f"{self.label}: {obj.release} to {obj.environment}?"

    def consequences(self, obj: Deployment) -> Sequence[str]:
        """What a new request does."""
        waits = obj.environment.protected
        return [
            f"A new request for {obj.release} is made with what is true now: configuration, secrets, servers.",
            "It waits for approval by somebody else." if waits else "It is queued at once.",
        ]

    def perform(self, *, actor: Actor, obj: Deployment, data: dict[str, Any]) -> Made:
        """Request it."""
        made = request_deployment(
            actor=actor,
            release=obj.release,
            environment=obj.environment,
            reason=data["reason"],
            break_glass=data.get("break_glass", False),
        )
        return Made(f"Deployment {made.pk} of {made.release} is {made.get_status_display().lower()}.", made)


class Redeploy(Again):
    """Of a success."""

    slug = "redeploy"
    label = "Redeploy"

    def offered(self, obj: Deployment, actor: Actor) -> bool:
        """After a success."""
        return obj.status == Status.SUCCEEDED


class Retry(Again):
    """Of anything that ended otherwise."""

    slug = "retry"
    label = "Retry"

    def offered(self, obj: Deployment, actor: Actor) -> bool:
        """After any other end of a deployment."""
        return obj.status in FINAL and obj.status != Status.SUCCEEDED and obj.kind == Kind.DEPLOYMENT

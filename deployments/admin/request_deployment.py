"""Asking for a deployment: which releases there are, what each would do, and the request."""

from collections.abc import Sequence
from typing import Any

from django.http import HttpRequest

from deployments.access.verbs import Verb
from deployments.admin.actors import actor_of
from deployments.admin.confirmations import Confirmation, Made
from deployments.admin.forms import PageForm, choice, switch, text
from deployments.core import selectors
from deployments.core.actors import Actor
from deployments.environments.guards import refuse_locked, refuse_retired
from deployments.models import Environment, Release
from deployments.requests.release_options import first_choice, offers, preview
from deployments.requests.requests import request_deployment
from engine.errors import PortalError


class RequestForm(PageForm):
    """What to deploy, and why."""

    release = choice("Release")
    reason = text("Reason", required=False, help_text="Shown to whoever approves.")
    break_glass = switch(
        "Break-glass: do not wait for approval",
        help_text="Needs a reason, is announced loudly, and stays marked until a second person has reviewed it.",
    )

    def prepare(self) -> None:
        """Releases of the environment's application, newest first, each with what became of it."""
        found = offers(self.subject) if self.subject is not None else []
        self.fields["release"].choices = [(one.release.pk, one.label) for one in found]  # type: ignore[attr-defined]  # a ChoiceField
        if self.subject is not None and (first := first_choice(self.subject, found)):
            self.fields["release"].initial = first.release.pk
        if self.subject is not None and not self.subject.protected:
            del self.fields["break_glass"]


def _closed(environment: Environment) -> PortalError | None:
    """Why nothing can be asked for there."""
    try:
        refuse_retired(environment)
        refuse_locked(environment)
        if not Release.objects.exists():
            selectors.newest_release()
    except PortalError as error:
        return error
    return None


def plan_of(actor: Actor, environment: Environment, chosen: str) -> dict[str, Any]:
    """What a request of the release numbered `chosen`, else of the first choice, would do."""
    found = offers(environment)
    offer = next((one for one in found if str(one.release.pk) == chosen), first_choice(environment, found))
    if offer is None:
        return {}
    try:
        return {"plan": preview(actor=actor, environment=environment, release=offer.release)}
    except PortalError as error:
        return {"plan_error": error}


class RequestDeployment(Confirmation[Environment]):
    """Deploy a release here."""

    slug = "request"
    label = "Request deployment"
    icon = "rocket_launch"
    tone = "good"
    verb = Verb.REQUEST
    form_class = RequestForm
    template = "deployments/admin/request.html"

    def offered(self, obj: Environment, actor: Actor) -> bool:
        """Where deployments are taken."""
        return _closed(obj) is None

    def refusal(self, obj: Environment, actor: Actor) -> PortalError | None:
        """Neither without the role, nor where it is locked or there is nothing to deploy."""
        return super().refusal(obj, actor) or _closed(obj)

    def context(self, request: HttpRequest, obj: Environment) -> dict[str, Any]:
        """The plan of the release that is chosen."""
        chosen = request.POST.get("release") or request.GET.get("release", "")
        return plan_of(actor_of(request), obj, chosen) | {"plan_url": request.path}

    def title(self, obj: Environment) -> str:
        """Where."""
        return f"Deploy to {obj}"

    def consequences(self, obj: Environment) -> Sequence[str]:
        """What a request does here."""
        live = selectors.live_release(obj)
        approvals = "one approval" if obj.approvals_required == 1 else f"{obj.approvals_required} approvals"
        waiting = selectors.waiting_requests().filter(environment=obj).first()
        return [
            f"{obj} runs {live} now." if live else f"Nothing runs on {obj} yet.",
            f"The request waits for {approvals} by somebody else, {obj.approval_hours} hours at most."
            if obj.protected
            else "It needs no approval: it is queued at once.",
            f"Deployment {waiting.pk} waits for approval: this request takes its place, unless it is break-glass."
            if waiting
            else "A newer request takes the place of one that waits.",
        ]

    def perform(self, *, actor: Actor, obj: Environment, data: dict[str, Any]) -> Made:
        """Request it."""
        made = request_deployment(
            actor=actor,
            release=Release.objects.get(pk=data["release"]),
            environment=obj,
            reason=data["reason"],
            break_glass=data.get("break_glass", False),
        )
        return Made(f"Deployment {made.pk} of {made.release} is {made.get_status_display().lower()}.", made)

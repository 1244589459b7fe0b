"""What people do about deployments: approve, reject, review, cancel, roll back, deploy again."""

from collections.abc import Sequence
from typing import Any, ClassVar

from django.http import HttpRequest
from django.urls import reverse

from deployments.access.four_eyes import refuse_same_person
from deployments.access.signatures import approving, valid_keys
from deployments.access.verbs import Verb
from deployments.admin.actors import actor_of
from deployments.admin.confirmations import Confirmation, Made
from deployments.admin.decision_forms import ApproveForm, RejectForm
from deployments.admin.forms import CommentForm, ReasonForm
from deployments.admin.going_back import FATE, TEMPLATE, going_back
from deployments.core import selectors
from deployments.core.actors import Actor, in_words
from deployments.core.texts import spoken
from deployments.lifecycle import ACTIVE, EXECUTING, FINAL, Kind, Status
from deployments.models import Deployment, Release
from deployments.requests.approvals import approve, reject, review_break_glass, why_over
from deployments.requests.cancellation import cancel
from deployments.requests.hook_effects import left_behind
from deployments.requests.reviews import review_of
from deployments.requests.rollback_targets import is_way_back, rollback_target, why_none
from deployments.requests.rollbacks import request_rollback
from deployments.requests.seals import approvals_given, approvals_needed
from engine.errors import PortalError
from engine.passkeys import challenge_of

ACTIVATE = "activate"
"""The step from which on a server runs the new release."""


def _own(obj: Deployment, actor: Actor) -> PortalError | None:
    """Why the requester cannot decide about it; None for everybody else."""
    try:
        refuse_same_person(actor, obj.requested_by, what="a deployment")
    except PortalError as refused:
        return refused
    return None


class Decision(Confirmation[Deployment]):
    """A decision about a waiting request; its page shows everything that is to be decided about."""

    verb = Verb.APPROVE
    template = "deployments/admin/decision.html"
    signed: ClassVar[bool] = False
    """Whether a passkey signs the answer."""

    def offered(self, obj: Deployment, actor: Actor) -> bool:
        """While it waits, to anybody but its requester."""
        waits = obj.status == Status.AWAITING_APPROVAL and obj.kind == Kind.DEPLOYMENT
        return waits and _own(obj, actor) is None

    def refusal(self, obj: Deployment, actor: Actor) -> PortalError | None:
        """Neither without the role, nor about one's own request."""
        return super().refusal(obj, actor) or _own(obj, actor)

    def over(self, obj: Deployment) -> PortalError | None:
        """Once it was decided, has expired or was superseded."""
        return why_over(obj)

    def title(self, obj: Deployment) -> str:
        """Version and environment; of one that is over, what became of it."""
        if why_over(obj):
            return f"{obj.aim} for {obj.environment}: nothing left to decide"
        return f"{self.label} {obj.release.version} for {obj.environment}?"

    def context(self, request: HttpRequest, obj: Deployment) -> dict[str, Any]:
        """The review, both answers, and what a passkey signs: the digest of the text that names the seal."""
        actor = actor_of(request)
        mine = [key.credential for key in valid_keys(actor.identity) if key.passkey]
        challenge = challenge_of(approving(obj, actor.identity))
        return {
            "deployment": obj,
            "review": review_of(actor=actor, deployment=obj),
            "over": why_over(obj),
            "followed": selectors.followed_by(obj),
            "passkey": {"act": "get", "challenge": challenge, "credentials": " ".join(mine)} if mine else None,
            "answers": [
                {"answer": each, "url": reverse(f"admin:deployments_deployment_{each.slug}", args=[obj.pk])}
                for each in (Approve, Reject)
            ],
        }


class Approve(Decision):
    """Consent to exactly what the seal covers."""

    slug = "approve"
    label = "Approve"
    icon = "check_circle"
    tone = "good"
    form_class = ApproveForm
    signed = True

    def consequences(self, obj: Deployment) -> Sequence[str]:
        """What approving does."""
        left = approvals_needed(obj) - approvals_given(obj)
        servers = [target.server for target in obj.sealed.targets]
        in_turn = f": {course}" if (course := obj.sealed.course) else ""
        if left > 1:
            return [f"It needs {left} more approvals; with yours, {left - 1}. Nothing runs until then."]
        return [
            f"It is queued at once and a worker deploys {obj.release.version} to {', '.join(servers)}{in_turn}.",
            "Each server verifies the new release and goes back by itself if it does not work.",
        ]

    def perform(self, *, actor: Actor, obj: Deployment, data: dict[str, Any]) -> str:
        """Approve."""
        after = approve(actor=actor, deployment=obj, comment=data["comment"], signature=data["signature"])
        if after.status == Status.AWAITING_APPROVAL:
            return (
                f"You approved deployment {obj.pk}. It needs {approvals_needed(after) - approvals_given(after)} more."
            )
        return f"You approved deployment {obj.pk}; it is queued."


class Reject(Decision):
    """Refuse it, with the reason its requester reads."""

    slug = "reject"
    bulk = True
    label = "Reject"
    icon = "cancel"
    tone = "bad"
    form_class = RejectForm

    def consequences(self, obj: Deployment) -> Sequence[str]:
        """What rejecting does."""
        return [f"The request ends. {in_words(obj.requested_by)} reads your reason; nothing changes on any server."]

    def perform(self, *, actor: Actor, obj: Deployment, data: dict[str, Any]) -> str:
        """Reject."""
        reject(actor=actor, deployment=obj, comment=data["comment"])
        return f"You rejected deployment {obj.pk}."


class Review(Confirmation[Deployment]):
    """A second person looks at a use of break-glass."""

    slug = "review"
    label = "Review break-glass"
    icon = "visibility"
    tone = "good"
    verb = Verb.REVIEW
    form_class = CommentForm
    template = "deployments/admin/decision.html"

    def offered(self, obj: Deployment, actor: Actor) -> bool:
        """Until somebody else has."""
        return obj.break_glass and obj.reviewed_at is None and _own(obj, actor) is None

    def refusal(self, obj: Deployment, actor: Actor) -> PortalError | None:
        """Neither without the role, nor of one's own."""
        return super().refusal(obj, actor) or _own(obj, actor)

    def consequences(self, obj: Deployment) -> Sequence[str]:
        """What a review does."""
        return [
            f"{in_words(obj.requested_by)} deployed this without approval: {obj.reason}",
            "With your review the mark goes from every page. It stays in the audit trail.",
        ]

    def context(self, request: HttpRequest, obj: Deployment) -> dict[str, Any]:
        """What was changed."""
        return {"deployment": obj, "review": review_of(actor=actor_of(request), deployment=obj)}

    def perform(self, *, actor: Actor, obj: Deployment, data: dict[str, Any]) -> str:
        """Record the review."""
        review_break_glass(actor=actor, deployment=obj, comment=data["comment"])
        return f"You reviewed the break-glass use of deployment {obj.pk}."


class Cancel(Confirmation[Deployment]):
    """End it."""

    slug = "cancel"
    label = "Cancel"
    icon = "stop_circle"
    tone = "bad"
    verb = Verb.CANCEL
    bulk = True

    def offered(self, obj: Deployment, actor: Actor) -> bool:
        """Until it has ended."""
        return obj.status not in FINAL

    def consequences(self, obj: Deployment) -> Sequence[str]:
        """What cancelling does, by how far it is."""
        if obj.status in (Status.AWAITING_APPROVAL, Status.QUEUED):
            return ["It ends at once: nothing has been changed on any server."]
        return [
            "The agent on the server ends what it does, restores what it began, and proves that nothing is left of it.",
            "The deployment is cancelled when that is proven. Servers that are done already go back too.",
        ]

    def effect(self, obj: Deployment) -> str:
        """By whether something is replaced already."""
        if obj.status not in EXECUTING:
            return ""
        targets = obj.targets.all()
        if any(step.name == ACTIVATE for target in targets for step in target.steps.all()):
            return "ends it and puts back what ran before"
        before = list(dict.fromkeys(target.base_release.version for target in targets if target.base_release))
        goes_on = f"{', '.join(before)} goes on running" if len(before) == 1 else "what runs goes on running"
        return f"ends it before anything is replaced: {goes_on}"

    def perform(self, *, actor: Actor, obj: Deployment, data: dict[str, Any]) -> str:
        """Cancel."""
        after = cancel(actor=actor, deployment=obj)
        return f"Deployment {obj.pk} is {'cancelled' if after.ended else 'being cancelled'}."


class RollBack(Confirmation[Deployment]):
    """Back to what ran before; or, on the page of an earlier success, back to that."""

    slug = "roll-back"
    label = "Roll back"
    icon = "undo"
    tone = "bad"
    verb = Verb.ROLL_BACK
    form_class = ReasonForm
    template = TEMPLATE

    def offered(self, obj: Deployment, actor: Actor) -> bool:
        """While it runs, is what runs or needs a person; and for an earlier success that is a way back."""
        if obj.kind == Kind.DEPLOYMENT and obj.status in (*ACTIVE, Status.INTERRUPTED):
            return True
        return obj.status == Status.SUCCEEDED and self._release(obj) is not None

    def title(self, obj: Deployment) -> str:
        """Where to."""
        return f"Roll {obj.environment} back to {self._release(obj) or 'nothing'}?"

    def consequences(self, obj: Deployment) -> Sequence[str]:
        """What a rollback does."""
        release = self._release(obj)
        if release is None:
            return [why_none(obj.environment)]
        seconds = selectors.expected_seconds(obj.environment, Kind.ROLLBACK)
        running = selectors.active_deployment(obj.environment)
        return [
            *(
                [f"Deployment {running.pk} is cancelled first; the rollback begins when that is proven."]
                if running
                else []
            ),
            f"{obj.environment} runs {release} again"
            + (f", by experience in about {spoken(seconds)}." if seconds else "."),
            "It needs no approval.",
            *FATE,
            *left_behind(obj.environment, release),
        ]

    def effect(self, obj: Deployment) -> str:
        """Where to; while one is under way, that it is cancelled first."""
        release = self._release(obj)
        if release is None:
            return ""
        if obj.status in ACTIVE:
            return f"cancels it, then goes back to {release.version} and puts {obj.release.version} into quarantine"
        return f"to {release.version}"

    def context(self, request: HttpRequest, obj: Deployment) -> dict[str, Any]:
        """The plan of the way back."""
        return going_back(actor_of(request), obj.environment, self._release(obj))

    def perform(self, *, actor: Actor, obj: Deployment, data: dict[str, Any]) -> Made:
        """Request the rollback."""
        rollback = request_rollback(
            actor=actor, environment=obj.environment, reason=data["reason"], to=self._earlier(obj)
        )
        return Made(
            f"Rollback {rollback.pk} to {rollback.release} is {rollback.get_status_display().lower()}.", rollback
        )

    def _earlier(self, obj: Deployment) -> Release | None:
        """The release of an earlier success; None where "back" is meant, which the service knows."""
        live = selectors.live_release(obj.environment)
        return obj.release if obj.status == Status.SUCCEEDED and live is not None and obj.release != live else None

    def _release(self, obj: Deployment) -> Release | None:
        """What the words of the page name."""
        if earlier := self._earlier(obj):
            return earlier if not earlier.quarantined and is_way_back(obj.environment, earlier) else None
        live = selectors.live_release(obj.environment)
        if obj.status != Status.SUCCEEDED and live not in (None, obj.release) and is_way_back(obj.environment, live):
            return live
        return rollback_target(obj.environment)

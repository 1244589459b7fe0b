"""Requests to loosen an environment's approval policy."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin

from deployments.access.verbs import Verb
from deployments.admin import labels
from deployments.admin.base import PortalAdmin
from deployments.admin.confirmations import Confirmation
from deployments.admin.forms import CommentForm, ReasonForm
from deployments.core.actors import Actor, in_words
from deployments.environments.policies import decide_policy_change, withdraw_policy_change
from deployments.models import PolicyChange


class Waiting(Confirmation[PolicyChange]):
    """Something to do about a waiting request."""

    verb = Verb.DECIDE_POLICY

    def offered(self, obj: PolicyChange, actor: Actor) -> bool:
        """While it waits."""
        return obj.state == PolicyChange.State.WAITING


class Agree(Waiting):
    """Apply it."""

    slug = "agree"
    label = "Agree"
    icon = "check_circle"
    tone = "bad"
    form_class = CommentForm

    def consequences(self, obj: PolicyChange) -> Sequence[str]:
        """What agreeing does."""
        return [
            f"At once: {obj.sentence} on {obj.environment}. {in_words(obj.requested_by)} says: {obj.reason}",
            "A deployment that waits for approval there loses its seal.",
        ]

    def perform(self, *, actor: Actor, obj: PolicyChange, data: dict[str, Any]) -> str:
        """Decide."""
        decide_policy_change(actor=actor, change=obj, approve=True, comment=data["comment"])
        return f"Applied: {obj.sentence}."


class Refuse(Waiting):
    """Leave everything as it is."""

    slug = "refuse"
    label = "Refuse"
    icon = "cancel"
    form_class = ReasonForm

    def consequences(self, obj: PolicyChange) -> Sequence[str]:
        """What refusing does."""
        return [f"The policy of {obj.environment} stays as it is."]

    def perform(self, *, actor: Actor, obj: PolicyChange, data: dict[str, Any]) -> str:
        """Decide."""
        decide_policy_change(actor=actor, change=obj, approve=False, comment=data["reason"])
        return "Refused; nothing was changed."


class Withdraw(Waiting):
    """Take it back."""

    slug = "withdraw"
    label = "Withdraw"
    icon = "undo"
    verb = Verb.CONFIGURE

    def consequences(self, obj: PolicyChange) -> Sequence[str]:
        """What withdrawing does."""
        return [f"The policy of {obj.environment} stays as it is."]

    def perform(self, *, actor: Actor, obj: PolicyChange, data: dict[str, Any]) -> str:
        """Withdraw."""
        withdraw_policy_change(actor=actor, change=obj)
        return "Withdrawn; nothing was changed."


@admin.register(PolicyChange)
class PolicyChangeAdmin(PortalAdmin[PolicyChange]):
    """Read-only, with the decision."""

    confirmations = (Agree(), Refuse(), Withdraw())
    list_display = ("sentence", "environment", "shown_state", "requested_by", "asked", "decided_by")
    list_filter = ("state", "environment")
    fields = (
        ("environment", "shown_state"),
        "sentence",
        "reason",
        ("requested_by", "requested_at"),
        ("decided_by", "decided_at"),
        "comment",
    )
    readonly_fields = ("sentence", "shown_state")

    def audit_subject(self, obj: PolicyChange) -> str:
        """Its environment's."""
        return f"environment:{obj.environment}"

    @admin.display(description="Change")
    def sentence(self, obj: PolicyChange) -> str:
        """In words."""
        return obj.sentence

    @admin.display(description="State", ordering="state")
    def shown_state(self, obj: PolicyChange) -> str:
        """In colour."""
        return labels.status(obj.state, obj.get_state_display())

    @admin.display(description="Asked", ordering="requested_at")
    def asked(self, obj: PolicyChange) -> str:
        """How long ago."""
        return labels.moment(obj.requested_at)

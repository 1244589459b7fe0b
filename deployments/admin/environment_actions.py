"""What can be done with an environment: deploy, roll back, verify, lock, unlock, change the approval policy."""

from collections.abc import Sequence
from typing import Any

from django.http import HttpRequest
from django.utils import timezone

from deployments.access.team import is_alone
from deployments.access.verbs import Verb
from deployments.admin.actors import actor_of
from deployments.admin.confirmations import Confirmation, Made
from deployments.admin.forms import PageForm, ReasonForm, choice, number, switch, text, when, word
from deployments.admin.going_back import FATE, TEMPLATE, going_back
from deployments.core import selectors
from deployments.core.actors import Actor
from deployments.core.moments import moment
from deployments.core.texts import spoken, whole_number
from deployments.environments.guards import locked_sentence
from deployments.environments.locks import lock_environment, unlock_environment
from deployments.environments.policies import MAX_HOURS, MOST_FAILURES, change_policy
from deployments.environments.policy_floors import MAX_APPROVALS
from deployments.lifecycle import Kind
from deployments.models import Environment, Release
from deployments.requests.rollback_targets import can_roll_back, releases_to_go_back_to, rollback_target, why_none
from deployments.requests.rollbacks import request_rollback
from deployments.servers.inspection import verify_environment
from engine.errors import TargetError


class RollBackForm(PageForm):
    """Where to, and why."""

    release = choice("Back to", required=False)
    reason = text(
        "Reason", help_text="What is wrong. Kept in the audit trail; the release that is left is quarantined."
    )

    def prepare(self) -> None:
        """Releases that succeeded here with consent and are not in quarantine."""
        ran = list(releases_to_go_back_to(self.subject)) if self.subject is not None else []
        first = ("", f"The previous one ({ran[0]})" if ran else "Nothing to go back to")
        named = [(str(release.pk), str(release)) for release in ran]
        self.fields["release"].choices = [first, *named]  # type: ignore[attr-defined]  # a ChoiceField


class RollBackEnvironment(Confirmation[Environment]):
    """Back to an earlier release."""

    slug = "roll-back"
    label = "Roll back"
    icon = "undo"
    tone = "bad"
    verb = Verb.ROLL_BACK
    form_class = RollBackForm
    template = TEMPLATE

    def offered(self, obj: Environment, actor: Actor) -> bool:
        """Where there is something to go back to, or to end."""
        return can_roll_back(obj)

    def title(self, obj: Environment) -> str:
        """Where."""
        return f"Roll back {obj}"

    def consequences(self, obj: Environment) -> Sequence[str]:
        """What a rollback does here."""
        running = selectors.active_deployment(obj)
        seconds = selectors.expected_seconds(obj, Kind.ROLLBACK)
        if not can_roll_back(obj):
            return [why_none(obj)]
        return [
            *([f"Deployment {running.pk} is cancelled first; the rollback begins then."] if running else []),
            f"It needs no approval{f', and takes about {spoken(seconds)}' if seconds else ''}.",
            *FATE,
        ]

    def context(self, request: HttpRequest, obj: Environment) -> dict[str, Any]:
        """The plan of the way back that is chosen, else of the usual one."""
        number = whole_number(request.POST.get("release", ""))
        named = next((row for row in releases_to_go_back_to(obj) if row.pk == number), None) if number else None
        return going_back(actor_of(request), obj, named or rollback_target(obj))

    def perform(self, *, actor: Actor, obj: Environment, data: dict[str, Any]) -> Made:
        """Request it."""
        to = Release.objects.get(pk=data["release"]) if data["release"] else None
        made = request_rollback(actor=actor, environment=obj, reason=data["reason"], to=to)
        return Made(f"Rollback {made.pk} to {made.release} is {made.get_status_display().lower()}.", made)


class LockForm(ReasonForm):
    """Why, and until when."""

    until = when("Until, UTC", required=False)

    def prepare(self) -> None:
        """What a picker does not know: which time it is in UTC."""
        now = timezone.now()
        self.fields["until"].widget.attrs["min"] = f"{now:%Y-%m-%dT%H:%M}"
        self.fields["until"].help_text = f"In UTC it is {now:%H:%M} now. Empty: until somebody unlocks it."


class Lock(Confirmation[Environment]):
    """No deployments until it is unlocked, or until a time."""

    slug = "lock"
    label = "Lock"
    icon = "lock"
    verb = Verb.LOCK
    bulk = True
    form_class = LockForm

    def offered(self, obj: Environment, actor: Actor) -> bool:
        """While it is open."""
        return not obj.locked

    def consequences(self, obj: Environment) -> Sequence[str]:
        """What a lock does."""
        return [
            f"Nobody can deploy to {obj} or approve for it until the lock ends or somebody unlocks it. Rollbacks go on."
        ]

    def perform(self, *, actor: Actor, obj: Environment, data: dict[str, Any]) -> str:
        """Lock it."""
        until = moment(data["until"], timezone.now(), ahead=True)
        lock_environment(actor=actor, environment=obj, reason=data["reason"], until=until)
        return f"{obj} is locked{f' until {until:%-d %b %Y %H:%M} UTC' if until else ''}."


class Unlock(Confirmation[Environment]):
    """Deployments again."""

    slug = "unlock"
    label = "Unlock"
    icon = "lock_open"
    verb = Verb.LOCK
    bulk = True
    form_class = ReasonForm

    def offered(self, obj: Environment, actor: Actor) -> bool:
        """While it is locked."""
        return obj.locked

    def consequences(self, obj: Environment) -> Sequence[str]:
        """Who locked it and why."""
        return [locked_sentence(obj)] if obj.locked else []

    def perform(self, *, actor: Actor, obj: Environment, data: dict[str, Any]) -> str:
        """Unlock it."""
        unlock_environment(actor=actor, environment=obj, reason=data["reason"])
        return f"{obj} is unlocked."


class Verify(Confirmation[Environment]):
    """Ask the servers whether what runs there is well."""

    slug = "verify"
    label = "Verify"
    icon = "health_and_safety"
    verb = Verb.VERIFY
    bulk = True

    def consequences(self, obj: Environment) -> Sequence[str]:
        """What is asked."""
        return [f"Every server of {obj} is asked the questions of a deployment's verification. Nothing is changed."]

    def perform(self, *, actor: Actor, obj: Environment, data: dict[str, Any]) -> str:
        """Verify; what is not well is told as a refusal."""
        findings = verify_environment(actor=actor, environment=obj)
        told = " ".join(f"{found.server}: {found.sentence}" for found in findings)
        if not findings:
            return f"Nothing has been deployed to {obj} yet."
        if not all(found.well for found in findings):
            raise TargetError(told, hint="Look at the server's page and at its journal.", reason="not_well")
        return told


class PolicyForm(PageForm):
    """The policy one wants."""

    approvals_required = number("Approvals required", min_value=0, max_value=MAX_APPROVALS)
    approval_hours = number("Hours until a request expires", min_value=1, max_value=MAX_HOURS)
    signed_approvals = switch(
        "Signed approvals only", help_text="Workers count approvals by keys that their own machine trusts, no others."
    )
    max_failures = number(
        "Failures allowed",
        min_value=0,
        max_value=MOST_FAILURES,
        help_text="So many servers may fail and stay as they were; none on the way back.",
    )
    releases_from = choice("Releases from", help_text="Asked at the request, and again when a worker begins.")
    reason = text("Reason", help_text="Shown to whoever decides about it.")
    confirmation = word(
        "Name of the environment",
        required=False,
        help_text="You are the one person with a role, so nobody can agree. Written out, it loosens the policy: "
        "from then on you alone decide what runs there. It is recorded and announced as such.",
    )

    def prepare(self) -> None:
        """As it is now; a confirmation only from a team of one."""
        if self.actor is None or not is_alone(self.actor):
            del self.fields["confirmation"]
        self.fields["releases_from"].choices = Environment.ReleasesFrom.choices  # type: ignore[attr-defined]  # a ChoiceField
        if self.subject is not None:
            self.fields["approvals_required"].initial = self.subject.approvals_required
            self.fields["approval_hours"].initial = self.subject.approval_hours
            self.fields["signed_approvals"].initial = self.subject.signed_approvals
            self.fields["max_failures"].initial = self.subject.max_failures
            self.fields["releases_from"].initial = self.subject.releases_from


class ChangePolicy(Confirmation[Environment]):
    """How many approvals, for how long they may be given, how many servers may fail, and which releases are taken."""

    slug = "policy"
    label = "Change approval policy"
    icon = "policy"
    verb = Verb.CONFIGURE
    form_class = PolicyForm

    def title(self, obj: Environment) -> str:
        """Whose."""
        return f"Approval policy of {obj}"

    def consequences(self, obj: Environment) -> Sequence[str]:
        """What tightening and loosening do."""
        return [
            "More approvals, less time, signed ones only, fewer failures, fewer kinds of releases: applied at once.",
            "Fewer approvals, more time, unsigned ones, more failures, or more kinds of releases where approval is "
            "asked for: a second person, an approver, has to agree.",
            "A request that waits loses its seal, because what it was approved under has changed.",
        ]

    def perform(self, *, actor: Actor, obj: Environment, data: dict[str, Any]) -> str:
        """Change it, or ask."""
        waiting = change_policy(actor=actor, environment=obj, **data)
        if waiting is not None:
            return f"A second person has to agree: {waiting.sentence}."
        return f"The approval policy of {obj} was changed."

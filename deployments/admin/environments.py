"""Environments: how they stand, their configuration, deploying to them, locking them, and their approval policy."""

import json
from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html
from unfold.widgets import UnfoldAdminTextareaWidget

from deployments import selectors
from deployments.admin import labels, trail
from deployments.admin.actors import actor_of
from deployments.admin.base import PortalAdmin
from deployments.admin.confirmations import Confirmation, change_url
from deployments.admin.forms import ModelForm, PageForm, ReasonForm, choice, number, switch, text, word
from deployments.errors import TargetError
from deployments.lifecycle import Kind
from deployments.models import Deployment, Environment, Release, Server
from deployments.services.access import Actor
from deployments.services.environments import EDITABLE, configure_environment, lock_environment, unlock_environment
from deployments.services.inspection import verify_environment
from deployments.services.people import is_alone
from deployments.services.policies import MAX_APPROVALS, MAX_HOURS, change_policy
from deployments.services.requests import request_deployment
from deployments.services.rollbacks import request_rollback

RELEASES_OFFERED = 50


class RequestForm(PageForm):
    """What to deploy, and why."""

    release = choice("Release")
    reason = text("Reason", required=False, help_text="Shown to whoever approves.")
    break_glass = switch(
        "Break-glass: do not wait for approval",
        help_text="Needs a reason, is announced loudly, and stays marked until a second person has reviewed it.",
    )

    def prepare(self) -> None:
        """Releases of the environment's application, newest first."""
        rows = Release.objects.all()
        if self.subject is not None and self.subject.application:
            rows = rows.filter(name=self.subject.application)
        self.fields["release"].choices = [  # type: ignore[attr-defined]  # a ChoiceField
            (release.pk, f"{release}{' (in quarantine: say why)' if release.quarantined else ''}")
            for release in rows[:RELEASES_OFFERED]
        ]
        if self.subject is not None and not self.subject.protected:
            del self.fields["break_glass"]


class RequestDeployment(Confirmation[Environment]):
    """Deploy a release here."""

    slug = "request"
    label = "Request deployment"
    icon = "rocket_launch"
    tone = "good"
    verb = "request"
    form_class = RequestForm

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

    def perform(self, *, actor: Actor, obj: Environment, data: dict[str, Any]) -> str:
        """Request it."""
        made = request_deployment(
            actor=actor,
            release=Release.objects.get(pk=data["release"]),
            environment=obj,
            reason=data["reason"],
            break_glass=data.get("break_glass", False),
        )
        return f"Deployment {made.pk} of {made.release} is {made.get_status_display().lower()}."

    def next(self, admin: PortalAdmin[Environment], obj: Environment) -> str:
        """The new request."""
        newest = Deployment.objects.filter(environment=obj).first()
        return change_url(newest or obj)


class RollBackForm(PageForm):
    """Where to, and why."""

    release = choice("Back to", required=False)
    reason = text(
        "Reason", help_text="What is wrong. Kept in the audit trail; the release that is left is quarantined."
    )

    def prepare(self) -> None:
        """Releases that have succeeded here and are not in quarantine."""
        ran: dict[int, str] = {}
        if self.subject is not None:
            live = selectors.live_release(self.subject)
            rows = Deployment.objects.filter(
                environment=self.subject, status="succeeded", release__quarantined_at=None
            ).select_related("release")
            ran = {row.release_id: str(row.release) for row in rows[:200] if row.release != live}
        previous = selectors.rollback_target(self.subject) if self.subject is not None else None
        first = ("", f"The previous one ({previous})" if previous else "Nothing to go back to")
        self.fields["release"].choices = [first, *ran.items()]  # type: ignore[attr-defined]  # a ChoiceField


class RollBackEnvironment(Confirmation[Environment]):
    """Back to an earlier release."""

    slug = "roll-back"
    label = "Roll back"
    icon = "undo"
    tone = "bad"
    verb = "roll_back"
    form_class = RollBackForm

    def offered(self, obj: Environment, actor: Actor) -> bool:
        """Where there is something to go back to, or to end."""
        return selectors.can_roll_back(obj)

    def title(self, obj: Environment) -> str:
        """Where."""
        return f"Roll back {obj}"

    def consequences(self, obj: Environment) -> Sequence[str]:
        """What a rollback does here."""
        running = selectors.active_deployment(obj)
        seconds = selectors.expected_seconds(obj, Kind.ROLLBACK)
        if not selectors.can_roll_back(obj):
            return [f"{obj} has no earlier release to go back to."]
        return [
            *([f"Deployment {running.pk} is cancelled first; the rollback begins then."] if running else []),
            f"It needs no approval{f', and takes about {seconds:.0f} s' if seconds else ''}. Data is kept.",
        ]

    def perform(self, *, actor: Actor, obj: Environment, data: dict[str, Any]) -> str:
        """Request it."""
        to = Release.objects.get(pk=data["release"]) if data["release"] else None
        made = request_rollback(actor=actor, environment=obj, reason=data["reason"], to=to)
        return f"Rollback {made.pk} to {made.release} is {made.get_status_display().lower()}."

    def next(self, admin: PortalAdmin[Environment], obj: Environment) -> str:
        """The rollback."""
        newest = Deployment.objects.filter(environment=obj, kind=Kind.ROLLBACK).first()
        return change_url(newest or obj)


class Lock(Confirmation[Environment]):
    """No deployments until it is unlocked."""

    slug = "lock"
    label = "Lock"
    icon = "lock"
    verb = "lock"
    bulk = True
    form_class = ReasonForm

    def offered(self, obj: Environment, actor: Actor) -> bool:
        """While it is open."""
        return not obj.locked

    def consequences(self, obj: Environment) -> Sequence[str]:
        """What a lock does."""
        return [f"Nobody can deploy to {obj} or approve for it until it is unlocked. Rollbacks go on."]

    def perform(self, *, actor: Actor, obj: Environment, data: dict[str, Any]) -> str:
        """Lock it."""
        lock_environment(actor=actor, environment=obj, reason=data["reason"])
        return f"{obj} is locked."


class Unlock(Confirmation[Environment]):
    """Deployments again."""

    slug = "unlock"
    label = "Unlock"
    icon = "lock_open"
    verb = "lock"
    bulk = True
    form_class = ReasonForm

    def offered(self, obj: Environment, actor: Actor) -> bool:
        """While it is locked."""
        return obj.locked

    def consequences(self, obj: Environment) -> Sequence[str]:
        """Who locked it and why."""
        return [f"{obj} was locked by {obj.locked_by}: {obj.lock_reason}"] if obj.locked else []

    def perform(self, *, actor: Actor, obj: Environment, data: dict[str, Any]) -> str:
        """Unlock it."""
        unlock_environment(actor=actor, environment=obj, reason=data["reason"])
        return f"{obj} is unlocked."


class Verify(Confirmation[Environment]):
    """Ask the servers whether what runs there is well."""

    slug = "verify"
    label = "Verify"
    icon = "health_and_safety"
    verb = "verify"
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
        if self.subject is not None:
            self.fields["approvals_required"].initial = self.subject.approvals_required
            self.fields["approval_hours"].initial = self.subject.approval_hours


class ChangePolicy(Confirmation[Environment]):
    """How many approvals, and for how long they may be given."""

    slug = "policy"
    label = "Change approval policy"
    icon = "policy"
    verb = "configure"
    form_class = PolicyForm

    def title(self, obj: Environment) -> str:
        """Whose."""
        return f"Approval policy of {obj}"

    def consequences(self, obj: Environment) -> Sequence[str]:
        """What tightening and loosening do."""
        return [
            "More approvals or less time: applied at once.",
            "Fewer approvals or more time: a second person, an approver, has to agree.",
            "A request that waits loses its seal, because what it was approved under has changed.",
        ]

    def perform(self, *, actor: Actor, obj: Environment, data: dict[str, Any]) -> str:
        """Change it, or ask."""
        waiting = change_policy(actor=actor, environment=obj, **data)
        if waiting is not None:
            return f"A second person has to agree: {waiting.sentence}."
        return f"The approval policy of {obj} was changed."


class PrettyJSONField(forms.JSONField):
    """JSON as people write it."""

    def prepare_value(self, value: Any) -> Any:
        """Indented."""
        if isinstance(value, dict):
            return json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True)
        return super().prepare_value(value)


class EnvironmentForm(ModelForm[Environment]):
    """What is edited on the page."""

    configuration = PrettyJSONField(
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 10, "spellcheck": "false"}),
        help_text='Values laid over the release\'s configuration files: {"bot.json": {"domain": "…"}}. '
        "They reach servers with the next deployment, which shows them to whoever approves.",
    )

    class Meta:
        model = Environment
        fields = EDITABLE

    def clean_configuration(self) -> Any:
        """An empty field is an empty table."""
        return self.cleaned_data["configuration"] or {}


WRITTEN: Any = {"fields": ("configuration",)}
READ: Any = {"fields": ("shown_configuration",)}


@admin.register(Environment)
class EnvironmentAdmin(PortalAdmin[Environment]):
    """The page edits configuration and bake; everything else is an action."""

    confirmations = (RequestDeployment(), RollBackEnvironment(), Verify(), Lock(), Unlock(), ChangePolicy())
    form = EnvironmentForm
    change_verb = "configure"
    list_display = ("name", "shown_live", "shown_state", "approvals_required", "shown_servers")
    search_fields = ("name", "application")
    readonly_fields = (
        "name",
        "application",
        "approvals_required",
        "approval_hours",
        "shown_lock",
        "shown_configuration",
        "fence",
        "public_key",
        "rotation",
    )
    fieldsets = (
        (
            None,
            {"fields": (("name", "application"), ("approvals_required", "approval_hours"), "shown_lock")},
        ),
        ("Configuration", WRITTEN),
        ("After a deployment", {"fields": (("bake_seconds", "bake_action"), "order")}),
        ("For servers", {"fields": ("public_key", "rotation", "fence")}),
    )

    def get_fieldsets(self, request: HttpRequest, obj: Environment | None = None) -> Any:
        """Who may not edit the configuration reads it as text: unfold's colours are styles that the policy refuses."""
        if self.has_change_permission(request, obj):
            return self.fieldsets
        return [(name, READ if each == WRITTEN else each) for name, each in self.fieldsets]

    def audit_subject(self, obj: Environment) -> str:
        """`environment:production`."""
        return f"environment:{obj.name}"

    def save_model(self, request: HttpRequest, obj: Environment, form: ModelForm[Environment], change: bool) -> None:
        """Through the service."""
        changed = {name: form.cleaned_data[name] for name in form.changed_data}
        if changed:
            configure_environment(actor=actor_of(request), environment=obj, changes=changed)

    @admin.display(description="Runs")
    def shown_live(self, obj: Environment) -> str:
        """The live release."""
        return str(selectors.live_release(obj) or "–")

    @admin.display(description="State")
    def shown_state(self, obj: Environment) -> str:
        """Locked, busy or idle."""
        if obj.locked:
            return labels.status("interrupted", "Locked")
        if active := selectors.active_deployment(obj):
            return labels.status(active.status, active.get_status_display())
        return labels.status("expired", "Idle")

    @admin.display(description="Servers")
    def shown_servers(self, obj: Environment) -> str:
        """Their names."""
        in_service = [server.name for server in obj.servers.all() if server.state != Server.State.RETIRED]
        return ", ".join(in_service) or "–"

    @admin.display(description="Configuration")
    def shown_configuration(self, obj: Environment) -> str:
        """As people write it."""
        return format_html('<pre class="cy-data" tabindex="0">{}</pre>', trail.pretty(obj.configuration))

    @admin.display(description="Lock")
    def shown_lock(self, obj: Environment) -> str:
        """Who, when and why."""
        if obj.locked_at is None:
            return "Not locked"
        return f"Locked by {obj.locked_by}, {obj.locked_at:%Y-%m-%d %H:%M} UTC: {obj.lock_reason}"

"""Releases: what was built, where it runs, and deploying it."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat

from deployments.access.verbs import Verb
from deployments.admin import labels
from deployments.admin.base import PortalAdmin
from deployments.admin.confirmations import Confirmation, Made
from deployments.admin.forms import PageForm, choice, switch, text
from deployments.admin.lists import NameFilter
from deployments.core.actors import Actor
from deployments.models import Environment, Release
from deployments.requests.requests import request_deployment


class WhereForm(PageForm):
    """Where to, and why."""

    environment = choice("Environment")
    reason = text("Reason", required=False, help_text="Needed for a release in quarantine; shown to whoever approves.")
    break_glass = switch(
        "Break-glass: do not wait for approval",
        help_text="Only where approval is asked for. Needs a reason, is announced loudly, and has to be reviewed.",
    )

    def prepare(self) -> None:
        """Environments that run this application, or none yet."""
        rows = Environment.objects.filter(retired_at=None)
        name = self.subject.name if self.subject is not None else ""
        self.fields["environment"].choices = [  # type: ignore[attr-defined]  # a ChoiceField
            (row.pk, f"{row}{' (waits for approval)' if row.protected else ''}")
            for row in rows
            if row.application in ("", name)
        ]


class Deploy(Confirmation[Release]):
    """Request it for an environment."""

    slug = "deploy"
    label = "Deploy"
    icon = "rocket_launch"
    tone = "good"
    verb = Verb.REQUEST
    form_class = WhereForm

    def title(self, obj: Release) -> str:
        """Which."""
        return f"Deploy {obj}"

    def consequences(self, obj: Release) -> Sequence[str]:
        """What speaks against it."""
        if obj.quarantined:
            return [f"It is in quarantine: {obj.quarantine_reason}. Say why it should be deployed again."]
        return ["Where approval is asked for, the request waits; elsewhere it is queued at once."]

    def perform(self, *, actor: Actor, obj: Release, data: dict[str, Any]) -> Made:
        """Request it."""
        made = request_deployment(
            actor=actor,
            release=obj,
            environment=Environment.objects.get(pk=data["environment"]),
            reason=data["reason"],
            break_glass=data["break_glass"],
        )
        return Made(f"Deployment {made.pk} to {made.environment} is {made.get_status_display().lower()}.", made)


@admin.register(Release)
class ReleaseAdmin(PortalAdmin[Release]):
    """Read-only: a release never changes."""

    confirmations = (Deploy(),)
    list_display = ("identifier", "name", "built", "shown_size", "shown_commit", "where", "shown_quarantine")
    list_filter = (NameFilter,)
    search_fields = ("identifier", "commit", "ref", "builder", "change_log")
    searched_newest = True
    ordering = ("-id",)
    fieldsets = (
        (None, {"fields": (("identifier", "name"), ("version", "built_at"), ("commit", "ref"), "builder", "where")}),
        ("What it holds", {"fields": (("files", "shown_size"), "manifest_digest", "artifact_digest")}),
        ("Change log", {"fields": ("change_log",)}),
        ("Quarantine", {"fields": ("shown_quarantine",)}),
    )
    readonly_fields = ("shown_size", "where", "shown_quarantine")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Release]:
        """With the servers that run them."""
        return super().get_queryset(request).prefetch_related("current_on")

    def audit_subject(self, obj: Release) -> str:
        """`release:1.4.0-…`."""
        return f"release:{obj.identifier}"

    @admin.display(description="Built", ordering="built_at")
    def built(self, obj: Release) -> str:
        """How long ago."""
        return labels.moment(obj.built_at)

    @admin.display(description="Size", ordering="size")
    def shown_size(self, obj: Release) -> str:
        """In units people read."""
        return filesizeformat(obj.size)

    @admin.display(description="Commit")
    def shown_commit(self, obj: Release) -> str:
        """Its beginning."""
        return labels.code(obj.commit, length=10)

    @admin.display(description="Runs on")
    def where(self, obj: Release) -> str:
        """Names of servers."""
        return ", ".join(server.name for server in obj.current_on.all()) or "–"

    @admin.display(description="Quarantine")
    def shown_quarantine(self, obj: Release) -> str:
        """Since when, by whom, why."""
        if obj.quarantined_at is None:
            return "–"
        return f"{obj.quarantined_at:%-d %b %Y %H:%M} UTC by {obj.quarantined_by}: {obj.quarantine_reason}"

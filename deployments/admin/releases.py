"""Releases: what was built, where it runs, and deploying it."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat

from deployments.admin import labels
from deployments.admin.actors import actor_of
from deployments.admin.base import PortalAdmin
from deployments.admin.lists import NameFilter
from deployments.admin.request_deployment import asking_for
from deployments.models import Environment, Release


@admin.register(Release)
class ReleaseAdmin(PortalAdmin[Release]):
    """Read-only: a release never changes."""

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

    def actions_for(self, request: HttpRequest, obj: Release) -> list[dict[str, Any]]:
        """Asking for it, in each environment of its application: the page of a request, with its plan."""
        rows = Environment.objects.filter(application__in=("", obj.name), retired_at=None, locked_at=None)
        links = (asking_for(obj, place, actor_of(request), f"Deploy to {place}") for place in rows)
        return [*super().actions_for(request, obj), *(link for link in links if link)]

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

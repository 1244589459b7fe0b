"""Releases: what was built, what became of it where, and the way to deploying it."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator

from deployments.admin import labels
from deployments.admin.actors import actor_of
from deployments.admin.base import PortalAdmin
from deployments.admin.lists import NameFilter
from deployments.admin.request_deployment import asking_for
from deployments.models import Environment, Release
from deployments.requests.release_records import Happening, ReleaseRecord, records_of

MOST = 8
"""Happenings of one release that are shown, the last ones."""


def _record(release: Release) -> ReleaseRecord:
    """As the list has read it for all of its page."""
    known: ReleaseRecord | None = getattr(release, "record", None)
    return known or records_of([release])[0]


def _happening(one: Happening) -> SafeString:
    pill = labels.status("failed" if one.bad else "succeeded" if one.live else "expired", str(one).removeprefix("is "))
    if one.deployment is None:
        return pill
    return format_html('<a href="{}">{}</a>', reverse("deployment", args=[one.deployment]), pill)


@admin.register(Release)
class ReleaseAdmin(PortalAdmin[Release]):
    """Read-only: a release never changes."""

    list_display = ("shown_identifier", "shown_subject", "became", "built", "shown_commit", "application", "shown_size")
    list_filter = (NameFilter,)
    search_fields = ("identifier", "commit", "ref", "builder", "change_log")
    searched_newest = True
    ordering = ("-id",)
    fields = ()
    change_form_template = "deployments/admin/release.html"

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """The list, with what became of each release on its page."""
        changes = super().get_changelist_instance(request)
        for row, record in zip(changes.result_list, records_of(changes.result_list), strict=True):
            row.record = record
        return changes

    def audit_subject(self, obj: Release) -> str:
        """`release:1.4.0-…`."""
        return f"release:{obj.identifier}"

    def actions_for(self, request: HttpRequest, obj: Release) -> list[dict[str, Any]]:
        """Asking for it, in each environment of its application: the page of a request, with its plan."""
        rows = Environment.objects.filter(application__in=("", obj.name), retired_at=None, locked_at=None)
        links = (asking_for(obj, place, actor_of(request), f"Deploy to {place}") for place in rows)
        return [*super().actions_for(request, obj), *(link for link in links if link)]

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        """The page."""
        release = context.get("original")
        if release is not None:
            rows = release.deployments.select_related("environment").defer("snapshot").order_by("-id")
            context |= {
                "release": release,
                "record": _record(release),
                "changes": [line for line in release.change_log.splitlines() if line],
                "deployments": rows[:MOST],
            }
        return super().render_change_form(request, context, *args, **kwargs)

    @admin.display(description="Release", ordering="identifier")
    def shown_identifier(self, obj: Release) -> str:
        """Version and digest."""
        return obj.identifier

    @admin.display(description="Application", ordering="name")
    def application(self, obj: Release) -> str:
        """What it is a release of."""
        return obj.name

    @admin.display(description="Built", ordering="built_at")
    def built(self, obj: Release) -> str:
        """When, and how long ago."""
        at = f"{obj.built_at:%-d %b %Y %H:%M}"
        return format_html('{} <span class="cy-muted">{}</span>', at, labels.moment(obj.built_at))

    @admin.display(description="Size", ordering="size")
    def shown_size(self, obj: Release) -> str:
        """In units people read."""
        return filesizeformat(obj.size)

    @admin.display(description="Commit")
    def shown_commit(self, obj: Release) -> str:
        """Its beginning."""
        return labels.code(obj.commit, length=10)

    @admin.display(description="Changes")
    def shown_subject(self, obj: Release) -> str:
        """The first line of its change log."""
        return Truncator(_record(obj).subject).chars(70) or labels.NONE

    @admin.display(description="So far")
    def became(self, obj: Release) -> SafeString:
        """Where it is live, ran, failed or was rejected, each with the deployment; and that it is in quarantine."""
        record = _record(obj)
        words = [labels.status("failed", "in quarantine")] if obj.quarantined else []
        words += [_happening(one) for one in record.history[-MOST:]]
        words += [format_html("and {} more", len(record.history) - MOST)] if record.history[MOST:] else []
        words = words or [labels.status("expired", "never deployed")]
        return labels.pills(words)

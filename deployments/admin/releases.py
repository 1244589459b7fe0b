"""Releases: what was built, what became of it where, and the way to deploying it."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator

from deployments.admin import labels
from deployments.admin.actors import actor_of
from deployments.admin.base import PortalAdmin
from deployments.admin.lists import NameFilter
from deployments.admin.request_deployment import asking_for
from deployments.core import selectors
from deployments.core.actors import Actor
from deployments.core.distinct_values import distinct_values
from deployments.lifecycle import Status
from deployments.models import Deployment, Environment, Release
from deployments.requests.release_records import Happening, ReleaseRecord, records_of
from deployments.templatetags.ops import version

_LARGE = ("private_key", "next_private_key", "configuration")
MOST_WAITING = 50
MOST = 8
"""Happenings of one release that are shown, the last ones."""


def _record(release: Release) -> ReleaseRecord:
    """As the list has read it for all of its page."""
    known: ReleaseRecord | None = getattr(release, "record", None)
    return known or records_of([release])[0]


def _waiting(release: Release) -> list[Deployment]:
    """The requests for it that wait for approval, as the list has read them."""
    known: list[Deployment] = getattr(release, "waiting", [])
    return known


def _happening(one: Happening) -> SafeString:
    return _linked(labels.status(one.grade, one.short), one.deployment)


def _linked(pill: SafeString, deployment: int | None) -> SafeString:
    return format_html('<a href="{}">{}</a>', reverse("deployment", args=[deployment]), pill) if deployment else pill


def _next(release: Release, places: list[Environment], actor: Actor) -> dict[str, Any] | None:
    """The way to asking for it in the first environment that neither runs nor ran it; None where there is none, or this
    person asks nowhere."""
    record = _record(release)
    for place in places:
        last = record.last_on(place.name)
        if place.application not in ("", release.name) or record.live_on(place.name) or (last and not last.bad):
            continue
        again = " again" if last and last.grade == Status.FAILED else ""
        if link := asking_for(release, place, actor, f"Deploy to {place}{again}"):
            return link
    return None


@admin.register(Release)
class ReleaseAdmin(PortalAdmin[Release]):
    """Read-only: a release never changes."""

    list_display = ("shown_identifier", "shown_subject", "became", "built", "shown_commit", "application", "deploy")
    list_filter = (NameFilter,)
    search_fields = ("identifier", "commit", "ref", "builder", "change_log")
    searched_newest = True
    ordering = ("-id",)
    fields = ()
    change_form_template = "deployments/admin/release.html"

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """The list, with what became of each release on its page, where it waits, and where it may go next."""
        changes = super().get_changelist_instance(request)
        rows, actor = list(changes.result_list), actor_of(request)
        waiting: dict[int, list[Deployment]] = {}
        requests = selectors.waiting_requests().defer("snapshot", *(f"environment__{name}" for name in _LARGE))
        for one in requests[:MOST_WAITING]:
            waiting.setdefault(one.release_id, []).append(one)
        places = list(Environment.objects.filter(retired_at=None, locked_at=None).defer(*_LARGE))
        for row, record in zip(rows, records_of(rows), strict=True):
            row.record, row.waiting = record, waiting.get(row.pk, [])
            row.next = _next(row, places, actor)
        return changes

    def get_list_display(self, request: HttpRequest) -> Any:
        """Without the application where all releases are of one."""
        one = len(distinct_values(Release, "name")) < 2
        return [name for name in self.list_display if isinstance(name, str) and not (one and name == "application")]

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
            rows = release.deployments.with_taken_back().select_related("environment").defer("snapshot").order_by("-id")
            context |= {
                "release": release,
                "record": _record(release),
                "changes": [line for line in release.change_log.splitlines() if line],
                "deployments": rows[:MOST],
            }
        return super().render_change_form(request, context, *args, **kwargs)

    @admin.display(description="Release", ordering="identifier")
    def shown_identifier(self, obj: Release) -> str:
        """Its version; the digest is in the tooltip."""
        return version(obj)

    @admin.display(description="Application", ordering="name")
    def application(self, obj: Release) -> str:
        """What it is a release of."""
        return obj.name

    @admin.display(description="Built", ordering="built_at")
    def built(self, obj: Release) -> str:
        """How long ago."""
        return labels.moment(obj.built_at)

    @admin.display(description="Next")
    def deploy(self, obj: Release) -> SafeString | str:
        """The way to deploying it."""
        link: dict[str, Any] | None = getattr(obj, "next", None)
        if link is None:
            return labels.NONE
        said = format_html('{}<span class="cy-sr"> {}</span>', link["label"], obj.version)
        return format_html('<a class="cy-row-action" href="{}">{}</a>', link["url"], said)

    @admin.display(description="Commit")
    def shown_commit(self, obj: Release) -> str:
        """Its beginning."""
        return labels.code(obj.commit, length=7)

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
        words += [_linked(labels.status("waiting", f"waits for {one.environment}"), one.pk) for one in _waiting(obj)]
        words = words or [labels.status("expired", "never deployed")]
        return labels.pills(words)

"""The audit trail: searched, filtered, verified, exported. Nothing here can change it."""

from datetime import UTC, timedelta
from typing import Any
from urllib.parse import quote

from django.contrib import admin
from django.db.models import QuerySet, TextField
from django.db.models.functions import Cast
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html

from deployments.access.export import export
from deployments.access.policy import may
from deployments.access.verbs import Verb
from deployments.admin import event_display, labels
from deployments.admin.actors import actor_of
from deployments.admin.base import PortalAdmin
from deployments.admin.lists import MOST, SEARCHED, EnvironmentFilter
from deployments.audit import events, verification
from deployments.audit import trail as audit
from deployments.core.actors import identity_in, in_words
from deployments.core.distinct_values import distinct_values
from deployments.http.error_messages import show_error
from deployments.models import AuditEvent
from deployments.templatetags.ops import age
from engine.errors import PortalError

FILTERS = ("subject", "actor", "name", "environment")


class KindFilter(admin.SimpleListFilter):
    """By the first word of the name: deployment, rollback, person …"""

    title = "kind"
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The kinds there are."""
        names = distinct_values(AuditEvent, "name")
        return [(kind, kind.capitalize()) for kind in sorted({name.partition(".")[0] for name in names})]

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEvent]) -> QuerySet[AuditEvent]:
        """Those of the kind."""
        if not self.value():
            return queryset
        names = [name for name in distinct_values(AuditEvent, "name") if name.startswith(f"{self.value()}.")]
        return queryset.filter(sequence__in=_newest(names))


def _newest(names: list[str]) -> list[int]:
    """The newest events of these names, as many as a list shows: read off the index of each."""
    found: list[int] = []
    for name in names:
        rows = AuditEvent.objects.filter(name=name).order_by("-sequence")
        found += rows.values_list("sequence", flat=True)[:MOST]
    return sorted(found)[-MOST:]


@admin.register(AuditEvent)
class AuditEventAdmin(PortalAdmin[AuditEvent]):
    """The list is the page per deployment, release, server and person: it is filtered by subject or actor."""

    view_verb = Verb.READ_AUDIT
    linked_columns = FILTERS
    list_display = ("shown_name", "shown_subject", "shown_actor", "environment", "shown_gist", "happened", "number")
    list_display_links = ("shown_name",)
    list_filter = (KindFilter, EnvironmentFilter, ("at", admin.DateFieldListFilter))
    search_fields = ("name", "actor", "subject", "data_text")
    searched_newest = True
    search_help_text = f"Among the newest {SEARCHED:,} events. An actor's name narrows the list to theirs."
    list_before_template = "deployments/admin/audit_tools.html"
    fields = ()
    change_form_template = "deployments/admin/event.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[AuditEvent]:
        """With the data as text, so that it can be searched."""
        return super().get_queryset(request).annotate(data_text=Cast("data", TextField()))

    def get_urls(self) -> list[URLPattern]:
        """Verification and export."""
        wrap = self.admin_site.admin_view
        return [
            path("verify/", wrap(self.verify_view), name="deployments_auditevent_verify"),
            path("export/", wrap(self.export_view), name="deployments_auditevent_export"),
            *super().get_urls(),
        ]

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """The list, with what each event on its page is about."""
        changes = super().get_changelist_instance(request)
        subjects = event_display.subjects_of(changes.result_list)
        for row in changes.result_list:
            row.about = subjects.get(row.subject, event_display.Subject(row.subject.replace(":", " ")))
        return changes

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """With the head, and what the list is narrowed to."""
        context = {
            "audit_head": audit.head(),
            "verified": verification.last(),
            "may_export": may(actor_of(request), Verb.EXPORT_AUDIT),
            "narrowed": {name: request.GET[name] for name in FILTERS if name in request.GET},
        }
        return super().changelist_view(request, {**context, **(extra_context or {})})

    def verify_view(self, request: HttpRequest) -> HttpResponse:
        """Walk what is new in the chain, and compare it with a head kept elsewhere when one is given."""
        given = request.GET.get("head", "").strip()
        problems: list[audit.Problem] | None = None
        since: audit.Head | None = None
        try:
            known = audit.Head.parse(given) if given else None
            problems, since = verification.verify_new(known_head=known)
        except PortalError as error:
            show_error(request, error)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Verification of the audit trail",
            "problems": problems,
            "since": since,
            "whole": verification.last(),
            "audit_head": audit.head(),
            "given": given,
        }
        return TemplateResponse(request, "deployments/admin/audit_verify.html", context)

    def export_view(self, request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
        """All events as JSON lines; the export is an event itself, so it takes a POST."""
        if request.method != "POST":
            return HttpResponseRedirect(reverse("admin:deployments_auditevent_changelist"))
        try:
            lines = export(actor=actor_of(request))
        except PortalError as error:
            show_error(request, error)
            return HttpResponseRedirect(reverse("admin:deployments_auditevent_changelist"))
        name = f"audit-{timezone.now():%Y%m%d-%H%M%S}.jsonl"
        return StreamingHttpResponse(
            (f"{line}\n" for line in lines),
            content_type="application/x-ndjson",
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )

    @admin.display(description="When, UTC")
    def happened(self, obj: AuditEvent) -> str:
        """The moment itself; how long ago is in the tooltip."""
        at = obj.at.astimezone(UTC)
        spoken = "just now" if (past := timezone.now() - at) < timedelta(minutes=1) else f"{age(past)} ago"
        return format_html('<time datetime="{}" title="{}">{}</time>', at.isoformat(), spoken, f"{at:%-d %b %H:%M:%S}")

    @admin.display(description="No.", ordering="sequence")
    def number(self, obj: AuditEvent) -> str:
        """Its place in the chain."""
        return str(obj.sequence)

    @admin.display(description="What", ordering="name")
    def shown_name(self, obj: AuditEvent) -> str:
        """In words; rollbacks stand out."""
        known = events.event(obj.name)
        return format_html('<span class="cy-event-{}">{}</span>', known.tone, known.title)

    @admin.display(description="About")
    def shown_subject(self, obj: AuditEvent) -> str:
        """What was done, decided or seen, with its page."""
        about: event_display.Subject = obj.about  # type: ignore[attr-defined]  # the list has put it there
        return format_html('<a href="{}">{}</a>', about.url, about.words) if about.url else about.words or labels.NONE

    @admin.display(description="By")
    def shown_actor(self, obj: AuditEvent) -> str:
        """Who, with the way to all that they did."""
        return format_html('<a href="?actor={}">{}</a>', quote(obj.actor), in_words(obj.actor))

    @admin.display(description="Details")
    def shown_gist(self, obj: AuditEvent) -> str:
        """The most telling part."""
        return event_display.gist(obj.data)

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        """The page."""
        event = context.get("original")
        if event is not None:
            known, about = events.event(event.name), event.data
            beside = AuditEvent.objects.filter(sequence__in=(event.sequence - 1, event.sequence + 1))
            context |= {
                "subtitle": known.title,
                "event": event,
                "tone": known.tone,
                "gist": event_display.gist(about),
                "facts": event_display.facts_of(about),
                "changes": event_display.changes_of(about),
                "written": event_display.pretty(about),
                "subject_url": event_display.address_of(event.subject),
                "person_url": event_display.address_of(f"person:{identity_in(event.actor)}"),
                "beside": {("before" if row.sequence < event.sequence else "after"): row for row in beside},
            }
        return super().render_change_form(request, context, *args, **kwargs)

"""Channels and what became of each message."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse

from deployments.access.policy import may
from deployments.access.verbs import Verb
from deployments.admin import labels
from deployments.admin.actors import actor_of
from deployments.admin.base import PortalAdmin
from deployments.admin.channel_form import SERVICES, ChannelForm, kind_of, service_of
from deployments.admin.channel_try import try_view
from deployments.admin.confirmations import Confirmation, change_url
from deployments.admin.forms import ModelForm
from deployments.admin.lists import SEARCHED
from deployments.admin.page_and_form import PageAndForm
from deployments.core.actors import Actor
from deployments.http.error_messages import show_error
from deployments.models import Environment, NotificationChannel, NotificationDelivery
from deployments.notifications.channels import FIELDS, delete_channel, save_channel, send_again, test_channel
from deployments.notifications.messages import EVENTS
from engine.errors import PortalError


class SendTest(Confirmation[NotificationChannel]):
    """Prove that messages arrive."""

    slug = "test"
    label = "Send a test message"
    icon = "send"
    tone = "good"
    verb = Verb.CONFIGURE

    def consequences(self, obj: NotificationChannel) -> Sequence[str]:
        """What happens."""
        return [f"A message goes to {obj}. What became of it is in the list of deliveries."]

    def perform(self, *, actor: Actor, obj: NotificationChannel, data: dict[str, Any]) -> str:
        """Queue it."""
        test_channel(actor=actor, channel=obj)
        return f"A test message for {obj} is queued."


DELIVERIES_SHOWN = 10


@admin.register(NotificationChannel)
class ChannelAdmin(PageAndForm[NotificationChannel]):
    """Edited through the service."""

    confirmations = (SendTest(),)
    form = ChannelForm
    page_template = "deployments/admin/channel.html"
    change_form_outer_before_template = "deployments/admin/channel_services.html"
    change_form_after_template = "deployments/admin/channel_try.html"
    change_verb = add_verb = Verb.CONFIGURE
    added = "Add a channel"
    list_display = ("name", "shown_state", "shown_kind", "shown_scope", "shown_events", "proven", "last_error")
    list_filter = ("enabled", "environment")
    search_fields = ("name",)
    list_select_related = ("application", "environment")

    def get_queryset(self, request: HttpRequest) -> QuerySet[NotificationChannel]:
        """With when each last took a message, and what became of the last one."""
        rows = NotificationDelivery.objects.filter(channel=OuterRef("pk"))
        arrived = rows.filter(state=NotificationDelivery.State.DELIVERED, delivered_at__isnull=False)
        settled = rows.exclude(state=NotificationDelivery.State.WAITING, attempts=0).order_by("-id")
        return (
            super()
            .get_queryset(request)
            .annotate(
                last_delivered_at=Subquery(arrived.order_by("-delivered_at").values("delivered_at")[:1]),
                last_state=Subquery(settled.values("state")[:1]),
                last_error=Subquery(settled.values("error")[:1]),
            )
        )

    def get_form(
        self, request: HttpRequest, obj: NotificationChannel | None = None, change: bool = False, **kwargs: Any
    ) -> type[ModelForm[NotificationChannel]]:
        """A new one is asked what its service needs."""
        if obj is None:
            kwargs["form"] = SERVICES[service_of(request)][1]
        return super().get_form(request, obj, change, **kwargs)

    def get_fieldsets(self, request: HttpRequest, obj: NotificationChannel | None = None) -> Any:
        """Where messages go, and which."""
        asked = SERVICES[service_of(request)][1].asked if obj is None else ("url", "mails_subscribers")
        also = ("mails_subscribers",) if obj is None and asked == ("url",) else ()
        return (
            (None, {"fields": ("name", *asked, *also)}),
            ("What it is told", {"fields": (("application", "environment"), "told", "events", "enabled")}),
        )

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """With the choice of services."""
        chosen = service_of(request)
        services = [(key, words, key == chosen) for key, (words, _) in SERVICES.items()]
        more = {"services": services, "try_url": f"{self._try_url()}?service={chosen}"}
        return super().add_view(request, form_url, {**more, **(extra_context or {})})

    def get_urls(self) -> list[URLPattern]:
        """With the test of what is typed."""
        view = self.admin_site.admin_view(partial(try_view, self))
        return [path("try/", view, name="deployments_notificationchannel_try"), *super().get_urls()]

    def _try_url(self) -> str:
        return reverse("admin:deployments_notificationchannel_try")

    def response_add(
        self, request: HttpRequest, obj: NotificationChannel, post_url_continue: str | None = None
    ) -> HttpResponse:
        """To its page, which asks for a test."""
        return HttpResponseRedirect(change_url(obj))

    def settings_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """For those who may: a reader finds on the page all that is theirs to see, and the URL is not."""
        obj = self.get_object(request, object_id)
        if obj is not None and not self.has_change_permission(request, obj):
            raise PermissionDenied("A channel is changed by administrators.")
        return super().settings_view(request, object_id, {"try_url": f"{self._try_url()}?channel={object_id}"})

    def page(self, request: HttpRequest, obj: NotificationChannel, actions: list[dict[str, Any]]) -> dict[str, Any]:
        """How it stands, what it is told, and what became of its last messages."""
        tone, words = state_of(obj)
        deliveries = obj.deliveries.filter(subscriber=None)[:DELIVERIES_SHOWN]
        unproven = getattr(obj, "last_delivered_at", None) is None
        return {
            "channel": obj,
            "state": tone,
            "state_words": words,
            "kind": kind_of(obj),
            "told": [EVENTS[name] for name in obj.events if name in EVENTS],
            "deliveries": deliveries,
            "unproven": unproven and obj.enabled,
            "portal_actions": actions if unproven else [{**one, "tone": "plain"} for one in actions],
            "delete_url": reverse("admin:deployments_notificationchannel_delete", args=[obj.pk])
            if self.has_delete_permission(request, obj)
            else "",
        }

    def audit_subject(self, obj: NotificationChannel) -> str:
        """`channel:3`."""
        return f"channel:{obj.pk}"

    def has_delete_permission(self, request: HttpRequest, obj: NotificationChannel | None = None) -> bool:
        """Channels are nobody's history."""
        return may(actor_of(request), Verb.CONFIGURE)

    def save_model(
        self, request: HttpRequest, obj: NotificationChannel, form: ModelForm[NotificationChannel], change: bool
    ) -> None:
        """Through the service."""
        values = {name: form.cleaned_data[name] for name in FIELDS if name in form.cleaned_data}
        saved = save_channel(actor=actor_of(request), channel=obj if change else None, values=values)
        obj.pk = saved.pk

    def delete_model(self, request: HttpRequest, obj: NotificationChannel) -> None:
        """Through the service."""
        delete_channel(actor=actor_of(request), channel=obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[NotificationChannel]) -> None:
        """One by one, each with its event."""
        for channel in queryset:
            try:
                delete_channel(actor=actor_of(request), channel=channel)
            except PortalError as refused:
                show_error(request, refused)

    @admin.display(description="State")
    def shown_state(self, obj: NotificationChannel) -> str:
        """Whether its last message arrived."""
        return labels.status(*state_of(obj))

    @admin.display(description="Kind")
    def shown_kind(self, obj: NotificationChannel) -> str:
        """The service; the rest of the URL is a secret."""
        return kind_of(obj)

    @admin.display(description="For")
    def shown_scope(self, obj: NotificationChannel) -> str:
        """Of which environment or application it tells."""
        return str(obj.environment or obj.application or "everything")

    @admin.display(description="Tells of")
    def shown_events(self, obj: NotificationChannel) -> str:
        """How many kinds of events."""
        return f"{len(obj.events)} of {len(EVENTS)}" if obj.events else "everything"

    @admin.display(description="What was wrong")
    def last_error(self, obj: NotificationChannel) -> str:
        """Of the last message, where it did not arrive."""
        failing = obj.enabled and state_of(obj)[0] == "failed"
        return str(getattr(obj, "last_error", "")) if failing else labels.NONE

    @admin.display(description="Last delivered")
    def proven(self, obj: NotificationChannel) -> str:
        """When something last arrived."""
        last: datetime | None = getattr(obj, "last_delivered_at", None)
        return labels.moment(last) if last else "never"


def state_of(channel: NotificationChannel) -> tuple[str, str]:
    """Tone and words: whether the last message that was tried arrived."""
    state = getattr(channel, "last_state", None)
    if not channel.enabled:
        return "expired", "Switched off"
    if state is None:
        return "waiting", "Never tried"
    return ("succeeded", "Working") if state == NotificationDelivery.State.DELIVERED else ("failed", "Failing")


class SendAgain(Confirmation[NotificationDelivery]):
    """A message that was given up."""

    slug = "again"
    label = "Send again"
    icon = "send"
    verb = Verb.CONFIGURE
    bulk = True

    def offered(self, obj: NotificationDelivery, actor: Actor) -> bool:
        """Only what was given up."""
        return obj.state == NotificationDelivery.State.FAILED

    def environment(self, obj: NotificationDelivery) -> Environment | None:
        """The channel's."""
        return obj.channel.environment

    def consequences(self, obj: NotificationDelivery) -> Sequence[str]:
        """What happens."""
        return [f"The message goes to {obj.channel} as it was written, and is tried again as a new one would be."]

    def perform(self, *, actor: Actor, obj: NotificationDelivery, data: dict[str, Any]) -> str:
        """Queue it."""
        send_again(actor=actor, delivery=obj)
        return f"The message for {obj.channel} is queued."


class EventFilter(admin.SimpleListFilter):
    """By what happened."""

    title = parameter_name = "about"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Everything that a message is written about."""
        return list(EVENTS.items())

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[NotificationDelivery]
    ) -> QuerySet[NotificationDelivery]:
        """Those about it."""
        return queryset.filter(event=self.value()) if self.value() else queryset


@admin.register(NotificationDelivery)
class DeliveryAdmin(PortalAdmin[NotificationDelivery]):
    """Read-only; what was given up can be sent again."""

    confirmations = (SendAgain(),)
    list_display = ("title", "channel", "event", "shown_state", "attempts", "made", "error")
    list_filter = ("state", "channel", EventFilter)
    searched_newest = True
    search_help_text = f"Among the newest {SEARCHED:,} deliveries."
    search_fields = ("title", "subject", "body", "error")
    list_select_related = ("channel",)
    fields = (
        ("channel", "event"),
        ("shown_state", "attempts"),
        "title",
        "body",
        "error",
        ("created_at", "delivered_at", "next_attempt_at"),
    )
    readonly_fields = ("shown_state",)

    @admin.display(description="State", ordering="state")
    def shown_state(self, obj: NotificationDelivery) -> str:
        """In colour."""
        return labels.status(obj.state, obj.get_state_display())

    @admin.display(description="Made", ordering="created_at")
    def made(self, obj: NotificationDelivery) -> str:
        """How long ago."""
        return labels.moment(obj.created_at)

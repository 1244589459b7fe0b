"""Channels and what became of each message."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminTextInputWidget

from deployments.access.policy import may
from deployments.access.verbs import Verb
from deployments.admin import labels
from deployments.admin.actors import actor_of
from deployments.admin.base import PortalAdmin
from deployments.admin.confirmations import Confirmation
from deployments.admin.forms import ModelForm
from deployments.admin.lists import SEARCHED
from deployments.core.actors import Actor
from deployments.http.error_messages import show_error
from deployments.models import Environment, NotificationChannel, NotificationDelivery
from deployments.notifications.channels import delete_channel, save_channel, send_again, test_channel
from deployments.notifications.messages import EVENTS
from engine.errors import PortalError


class ChannelForm(ModelForm[NotificationChannel]):
    """The URL may hold a password: it is typed and never shown again."""

    url = forms.CharField(
        label="Apprise URL",
        required=False,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "off"}),
        help_text="mailto://…, slack://…, json://…, jsons://…. It is stored encrypted and not shown again; "
        "leave it empty to keep the one that is stored.",
    )
    events = forms.MultipleChoiceField(
        required=False,
        choices=list(EVENTS.items()),
        widget=forms.CheckboxSelectMultiple(attrs={"class": "cy-checks"}),
        help_text="None ticked: all of them.",
    )

    class Meta:
        model = NotificationChannel
        fields = ("name", "url", "application", "environment", "events", "enabled", "mails_subscribers")
        widgets = {"name": UnfoldAdminTextInputWidget()}  # noqa: RUF012  (Django's attribute)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial.pop("url", None)

    def clean_url(self) -> str:
        """The new one, or the one that is stored."""
        given: str = self.cleaned_data["url"]
        stored = NotificationChannel.objects.filter(pk=self.instance.pk).first()
        if not given and stored is None:
            raise forms.ValidationError("A new channel needs its URL.")
        return given or (str(stored.url) if stored else "")


class SendTest(Confirmation[NotificationChannel]):
    """Prove that messages arrive."""

    slug = "test"
    label = "Send a test message"
    icon = "send"
    verb = Verb.CONFIGURE

    def consequences(self, obj: NotificationChannel) -> Sequence[str]:
        """What happens."""
        return [f"A message goes to {obj}. What became of it is in the list of deliveries."]

    def perform(self, *, actor: Actor, obj: NotificationChannel, data: dict[str, Any]) -> str:
        """Queue it."""
        test_channel(actor=actor, channel=obj)
        return f"A test message for {obj} is queued."


@admin.register(NotificationChannel)
class ChannelAdmin(PortalAdmin[NotificationChannel]):
    """Edited through the service."""

    confirmations = (SendTest(),)
    form = ChannelForm
    change_verb = add_verb = Verb.CONFIGURE
    added = "Add a channel"
    list_display = ("name", "shown_kind", "application", "environment", "shown_events", "enabled", "proven")
    fields = ("name", "url", "application", "environment", "events", "enabled", "mails_subscribers")
    readonly_fields = ("shown_kind", "shown_events")

    def get_queryset(self, request: HttpRequest) -> QuerySet[NotificationChannel]:
        """With when each last took a message."""
        arrived = NotificationDelivery.objects.filter(
            channel=OuterRef("pk"), state=NotificationDelivery.State.DELIVERED, delivered_at__isnull=False
        )
        latest = arrived.order_by("-delivered_at").values("delivered_at")[:1]
        return super().get_queryset(request).annotate(last_delivered_at=Subquery(latest))

    def get_fields(self, request: HttpRequest, obj: NotificationChannel | None = None) -> tuple[str, ...]:
        """Readers see no URL, and of the events how many."""
        if self.has_change_permission(request, obj):
            return self.fields
        return ("name", "shown_kind", "application", "environment", "shown_events", "enabled")

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
        values = {name: form.cleaned_data[name] for name in form.Meta.fields}  # type: ignore[attr-defined]  # ours
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

    @admin.display(description="Kind")
    def shown_kind(self, obj: NotificationChannel) -> str:
        """The scheme; the rest of the URL is a secret."""
        return str(obj.url).partition("://")[0]

    @admin.display(description="Tells of")
    def shown_events(self, obj: NotificationChannel) -> str:
        """How many kinds of events."""
        return f"{len(obj.events)} of {len(EVENTS)}" if obj.events else "everything"

    @admin.display(description="Last delivered")
    def proven(self, obj: NotificationChannel) -> str:
        """When something last arrived."""
        last: datetime | None = getattr(obj, "last_delivered_at", None)
        return labels.moment(last) if last else "never"


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

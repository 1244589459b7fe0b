"""What Alertmanager told us, and each time it did."""

from django.conf import settings
from django.db import models
from django.utils import timezone

from deployments.models import Environment, Server

CHANNELS = {"portal": "Portal", "email": "Mail", "slack": "Slack"}
"""The ways alerts go, with their names for people."""


class Alert(models.Model):
    """One occurrence of an alert: it begins, is told about repeatedly, and ends."""

    class Status(models.TextChoices):
        """As Alertmanager calls them."""

        FIRING = "firing", "Firing"
        RESOLVED = "resolved", "Resolved"

    fingerprint = models.CharField(max_length=64, help_text="Alertmanager's hash of the labels.")
    name = models.CharField(max_length=150, help_text="The label alertname.")
    severity = models.CharField(max_length=30, blank=True)
    environment = models.ForeignKey(
        Environment, on_delete=models.SET_NULL, null=True, blank=True, related_name="alerts"
    )
    server = models.ForeignKey(Server, on_delete=models.SET_NULL, null=True, blank=True, related_name="alerts")
    status = models.CharField(max_length=10, choices=Status.choices)
    labels = models.JSONField(default=dict)
    annotations = models.JSONField(default=dict)
    generator_url = models.CharField(max_length=2000, blank=True)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True, blank=True)
    received_at = models.DateTimeField(default=timezone.now, help_text="When it was first told.")
    last_received_at = models.DateTimeField(default=timezone.now)
    assignee = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="assigned_alerts",
        help_text="Who is to look after it.",
    )
    silenced_until = models.DateTimeField(
        null=True, blank=True, help_text="The end of the silence that covers it, when Alertmanager was last asked."
    )

    class Meta:
        app_label = "dashboard"
        ordering = ("-starts_at", "-id")
        constraints = (
            models.UniqueConstraint(fields=["fingerprint", "starts_at"], name="one_alert_per_occurrence"),
            models.CheckConstraint(
                condition=models.Q(status="firing") | models.Q(ends_at__isnull=False),
                name="a_resolved_alert_has_its_end",
            ),
        )
        indexes = (
            models.Index(fields=["status", "-starts_at"], name="alerts_by_status"),
            models.Index(fields=["environment", "-starts_at"], name="alerts_by_environment"),
            models.Index(fields=["status", "-id"], name="alerts_by_status_number"),
            models.Index(fields=["name", "-last_received_at"], name="alerts_by_name"),
            models.Index(fields=["environment", "name", "status", "-starts_at"], name="alerts_by_group"),
        )

    def __str__(self) -> str:
        return f"{self.name} {self.status}"

    @property
    def seconds(self) -> float | None:
        """How long it lasted; None while it fires."""
        return (self.ends_at - self.starts_at).total_seconds() if self.ends_at else None

    @property
    def summary(self) -> str:
        """The sentence written for people, else the name."""
        return str(self.annotations.get("summary") or self.annotations.get("description") or self.name)


class AlertReceipt(models.Model):
    """One delivery that carried an alert. The portal's own are exact; those of other channels are what Alertmanager
    counted (`notifications.channels`), and `received_at` is when that was read."""

    alert = models.ForeignKey(Alert, on_delete=models.CASCADE, related_name="receipts")
    status = models.CharField(max_length=10, choices=Alert.Status.choices)
    receiver = models.CharField(max_length=150)
    channel = models.CharField(
        max_length=30, default="portal", db_default="portal", help_text="portal, email or slack."
    )
    group_key = models.CharField(max_length=500)
    left_out = models.PositiveIntegerField(
        default=0, db_default=0, help_text="How many alerts the delivery had besides, of which nothing is kept."
    )
    received_at = models.DateTimeField(default=timezone.now)

    class Meta:
        app_label = "dashboard"
        ordering = ("-received_at", "-id")
        indexes = (
            models.Index(fields=["channel", "-received_at"], name="receipts_by_channel"),
            models.Index(fields=["channel", "status", "-received_at"], name="receipts_by_status"),
            models.Index(fields=["alert", "channel", "-received_at"], name="receipts_by_alert"),
        )

    def __str__(self) -> str:
        return f"{self.alert} by {self.receiver}"

    @property
    def channel_label(self) -> str:
        """The channel's name for people."""
        return CHANNELS.get(self.channel, self.channel)


class AlertChannel(models.Model):
    """A way besides the portal on which Alertmanager tells people, as its counters were when they were last read."""

    name = models.CharField(max_length=30, unique=True)
    messages = models.PositiveBigIntegerField(help_text="Taken, when they were last read.")
    failures = models.PositiveBigIntegerField(help_text="Requests that failed, at the same time.")
    settled_messages = models.PositiveBigIntegerField(help_text="Taken, when receipts were last written.")
    settled_at = models.DateTimeField(help_text="Up to when the portal's own receipts have been compared.")
    proven_at = models.DateTimeField(null=True, blank=True, help_text="When it was last seen to take a message.")
    failing_since = models.DateTimeField(null=True, blank=True)

    class Meta:
        app_label = "dashboard"
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name

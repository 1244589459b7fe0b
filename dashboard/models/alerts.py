"""What Alertmanager told us, and each time it did."""

from django.db import models
from django.utils import timezone

from deployments.models import Environment, Server


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

    class Meta:
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
    """One delivery that carried an alert: proof that the way from Alertmanager to here works."""

    alert = models.ForeignKey(Alert, on_delete=models.CASCADE, related_name="receipts")
    status = models.CharField(max_length=10, choices=Alert.Status.choices)
    receiver = models.CharField(max_length=150)
    group_key = models.CharField(max_length=500)
    received_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ("-received_at", "-id")

    def __str__(self) -> str:
        return f"{self.alert} by {self.receiver}"

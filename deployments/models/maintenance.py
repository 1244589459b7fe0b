"""Time set aside for work on an environment: nothing is deployed, and its alerts alarm nobody."""

from datetime import datetime

from django.db import models
from django.utils import timezone

from deployments.models.environments import Environment


class MaintenanceQuerySet(models.QuerySet["Maintenance"]):
    """Windows by where they stand. The times decide, so that no worker is needed for one to begin or to end."""

    def under_way(self, now: datetime) -> "MaintenanceQuerySet":
        """Those that hold now."""
        return self.filter(ended_at=None, starts_at__lte=now, ends_at__gt=now)

    def to_come(self, now: datetime) -> "MaintenanceQuerySet":
        """Those that are planned, the next one first."""
        return self.filter(ended_at=None, starts_at__gt=now).order_by("starts_at", "id")


class Maintenance(models.Model):
    """One window. It ends at its end, or when somebody ends or calls it off; what is over stays on record."""

    environment = models.ForeignKey(Environment, on_delete=models.CASCADE, related_name="maintenance")
    title = models.CharField(max_length=120)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    public = models.BooleanField(default=False, help_text="Whether the status page tells everybody.")
    made_by = models.CharField(max_length=150)
    made_at = models.DateTimeField(default=timezone.now)
    began_at = models.DateTimeField(null=True, blank=True, help_text="When its beginning was written down.")
    ended_at = models.DateTimeField(null=True, blank=True, help_text="Its end, or when it was called off.")
    silence = models.CharField(max_length=64, blank=True, help_text="Alertmanager's identifier of its silence.")

    objects = MaintenanceQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "maintenance"
        ordering = ("-starts_at", "-id")
        constraints = (
            models.CheckConstraint(condition=models.Q(ends_at__gt=models.F("starts_at")), name="maintenance_lasts"),
        )
        indexes = (
            models.Index(
                fields=["environment", "starts_at"], condition=models.Q(ended_at=None), name="open_maintenance"
            ),
            models.Index(fields=["-starts_at", "-id"], name="maintenance_by_start"),
        )

    def __str__(self) -> str:
        return f"Maintenance of {self.environment}: {self.title}"

    def word(self, now: datetime) -> str:
        """Where it stands: `planned`, `under way`, `over` or `called off`."""
        if self.ended_at is not None:
            return "over" if self.ended_at > self.starts_at else "called off"
        return "planned" if now < self.starts_at else "under way" if now < self.ends_at else "over"

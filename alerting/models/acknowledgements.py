"""Somebody has an alert in hand, or has put it off: for a while, and with a word about it."""

from datetime import datetime

from django.db import models
from django.utils import timezone

from alerting.models.alerts import Alert


class Acknowledgement(models.Model):
    """One person's word that an alert is seen to, or may wait. It ends by itself, and with the occurrence it was given
    for."""

    class Kind(models.TextChoices):
        """What was said: somebody works on it, or it is to come back later."""

        ACKNOWLEDGED = "acknowledged", "Acknowledged"
        SNOOZED = "snoozed", "Snoozed"

    class Ending(models.TextChoices):
        """How it ended."""

        EXPIRED = "expired", "Ran out"
        WITHDRAWN = "withdrawn", "Withdrawn"
        REPLACED = "replaced", "Replaced"
        RESOLVED = "resolved", "Alert ended"

    alert = models.ForeignKey(Alert, on_delete=models.CASCADE, related_name="acknowledgements")
    kind = models.CharField(
        max_length=12, choices=Kind.choices, default=Kind.ACKNOWLEDGED, db_default=Kind.ACKNOWLEDGED
    )
    actor = models.CharField(max_length=150)
    comment = models.CharField(max_length=500)
    made_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    ending = models.CharField(max_length=10, choices=Ending.choices, blank=True)

    class Meta:
        app_label = "dashboard"
        ordering = ("-id",)
        constraints = (
            models.UniqueConstraint(
                fields=["alert"], condition=models.Q(ended_at=None), name="one_open_acknowledgement_per_alert"
            ),
            models.CheckConstraint(
                condition=models.Q(expires_at__gt=models.F("made_at")), name="an_acknowledgement_lasts"
            ),
            models.CheckConstraint(
                condition=models.Q(ended_at=None, ending="")
                | (models.Q(ended_at__isnull=False) & ~models.Q(ending="")),
                name="an_ended_acknowledgement_says_how",
            ),
        )
        indexes = (
            models.Index(fields=["expires_at"], condition=models.Q(ended_at=None), name="open_acknowledgements"),
        )

    def __str__(self) -> str:
        return f"{self.alert} {self.kind} by {self.actor}"

    def holds(self, now: datetime) -> bool:
        """Whether it still counts; no worker is needed for one to run out."""
        return self.ended_at is None and now < self.expires_at

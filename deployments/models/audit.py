"""The audit trail: facts that are written once and chained by their hashes."""

from django.db import models


class AuditEvent(models.Model):
    """An immutable fact; actors and subjects are text, so that deleting a person rewrites nothing.

    `hash` is the sha256 over the previous hash and this event's canonical JSON (`audit.trail`). UPDATE, DELETE and
    TRUNCATE are refused by triggers in the database.
    """

    sequence = models.PositiveBigIntegerField(primary_key=True)
    at = models.DateTimeField()
    actor = models.CharField(max_length=150)
    name = models.CharField(max_length=60, help_text="Dotted, as in deployment.approved.")
    subject = models.CharField(max_length=100, help_text="Kind and key, as in deployment:12.")
    environment = models.CharField(max_length=63, blank=True)
    data = models.JSONField(default=dict)
    previous_hash = models.CharField(max_length=64)
    hash = models.CharField(max_length=64, unique=True)

    class Meta:
        ordering = ("-sequence",)
        indexes = (
            models.Index(fields=["subject", "-sequence"], name="audit_by_subject"),
            models.Index(fields=["actor", "-sequence"], name="audit_by_actor"),
            models.Index(fields=["name", "-sequence"], name="audit_by_name"),
            models.Index(fields=["environment", "-sequence"], name="audit_by_environment"),
            models.Index(fields=["at"], name="audit_by_time"),
        )

    def __str__(self) -> str:
        return f"{self.sequence} {self.name}"

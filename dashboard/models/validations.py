"""Validations: windows over which an environment is measured against its limits, and what was read meanwhile."""

from django.db import models

from deployments.models import Environment


class Validation(models.Model):
    """One window. Its report stays, with the digest that the audit trail has."""

    class State(models.TextChoices):
        """Where it stands; the last two say that nobody can tell."""

        RUNNING = "running", "Running"
        PASSED = "passed", "Passed"
        FAILED = "failed", "Failed"
        INTERRUPTED = "interrupted", "Interrupted"

    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="validations")
    state = models.CharField(max_length=12, choices=State.choices, default=State.RUNNING)
    started_by = models.CharField(max_length=150)
    started_at = models.DateTimeField()
    until = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    sentence = models.CharField(max_length=500, blank=True)
    html = models.TextField(blank=True)
    markdown = models.TextField(blank=True)
    digest = models.CharField(max_length=64, blank=True, help_text="sha256 of the Markdown report.")
    limits = models.JSONField(default=list, db_default=[], help_text="Each limit as it was judged at the end.")

    class Meta:
        ordering = ("-pk",)
        constraints = (
            models.UniqueConstraint(
                fields=["environment"], condition=models.Q(state="running"), name="one_running_validation"
            ),
        )

    def __str__(self) -> str:
        return f"validation {self.pk} of {self.environment}: {self.get_state_display().lower()}"

    @property
    def seconds(self) -> float:
        """Length of the window that was asked for."""
        return (self.until - self.started_at).total_seconds()


class Reading(models.Model):
    """What one bot's /metrics said at one moment; empty when it did not answer."""

    validation = models.ForeignKey(Validation, on_delete=models.CASCADE, related_name="readings")
    server = models.CharField(max_length=31)
    at = models.DateTimeField()
    values = models.JSONField(default=dict)

    class Meta:
        ordering = ("pk",)
        indexes = (models.Index(fields=["validation", "server", "at"], name="reading_by_time"),)

    def __str__(self) -> str:
        return f"{self.server} at {self.at:%Y-%m-%d %H:%M:%S}"

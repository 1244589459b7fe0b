"""What went wrong for the people who use a service, and what they were told while it did."""

from django.db import models
from django.utils import timezone

from alerting.models.alerts import Alert
from deployments.models import Environment, Server


class Incident(models.Model):
    """One incident, as its latest update left it; nothing of it is edited but by adding an update."""

    class Severity(models.TextChoices):
        """How much of the service is gone, for those who use it."""

        MINOR = "minor", "Minor"
        MAJOR = "major", "Major"
        CRITICAL = "critical", "Critical"

    class State(models.TextChoices):
        """How far those are who work on it."""

        INVESTIGATING = "investigating", "Investigating"
        IDENTIFIED = "identified", "Identified"
        MONITORING = "monitoring", "Monitoring"
        RESOLVED = "resolved", "Resolved"

    title = models.CharField(max_length=120)
    severity = models.CharField(max_length=10, choices=Severity.choices)
    state = models.CharField(max_length=15, choices=State.choices, default=State.INVESTIGATING)
    public = models.BooleanField(default=False, help_text="Whether the status page shows it to everybody.")
    environments = models.ManyToManyField(Environment, blank=True, related_name="incidents")
    servers = models.ManyToManyField(Server, blank=True, related_name="incidents")
    alert = models.ForeignKey(Alert, on_delete=models.SET_NULL, null=True, blank=True, related_name="incidents")
    opened_by = models.CharField(max_length=150)
    opened_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)
    resolved_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        app_label = "dashboard"
        ordering = ("-id",)
        constraints = (
            models.CheckConstraint(
                condition=models.Q(state="resolved", resolved_at__isnull=False)
                | (~models.Q(state="resolved") & models.Q(resolved_at=None)),
                name="a_resolved_incident_has_its_end",
            ),
        )
        indexes = (
            models.Index(fields=["-id"], condition=models.Q(resolved_at=None), name="open_incidents"),
            models.Index(fields=["resolved_at"], name="incidents_by_end"),
        )

    def __str__(self) -> str:
        return f"Incident {self.pk}: {self.title}"

    @property
    def urgent(self) -> bool:
        """Whether all of the service is gone and the cause has not been dealt with yet."""
        dealt_with = (self.State.MONITORING, self.State.RESOLVED)
        return self.severity == self.Severity.CRITICAL and self.state not in dealt_with

    @property
    def seconds(self) -> float | None:
        """How long it lasted; None while it is open."""
        return (self.resolved_at - self.opened_at).total_seconds() if self.resolved_at else None

    @property
    def affected(self) -> str:
        """What it is about, in words; empty where nothing was named. Reads what a page has prefetched."""
        return ", ".join([*map(str, self.environments.all()), *(server.name for server in self.servers.all())])


class IncidentUpdate(models.Model):
    """One sentence or more about an incident, for whoever may see it. Who wrote it is for members alone."""

    incident = models.ForeignKey(Incident, on_delete=models.CASCADE, related_name="updates")
    state = models.CharField(max_length=15, choices=Incident.State.choices)
    text = models.CharField(max_length=1000)
    author = models.CharField(max_length=150)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        app_label = "dashboard"
        ordering = ("-id",)

    def __str__(self) -> str:
        return f"{self.get_state_display()}: {self.text}"

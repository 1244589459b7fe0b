"""Moving the portal itself: where to, and how far it is."""

from django.db import models


class Move(models.Model):
    """One move of this portal to a server. The row goes along with the database, so both ends know where they stand."""

    class State(models.TextChoices):
        """Which of the two is in charge."""

        UNDER_WAY = "under_way", "Under way"
        GONE = "gone", "Gone"
        ARRIVED = "arrived", "Arrived"

    server = models.CharField(max_length=31)
    url = models.CharField(max_length=300)
    host_key = models.TextField(help_text="Of the server: by it the portal that arrives knows itself.")
    state = models.CharField(max_length=10, choices=State.choices, default=State.UNDER_WAY)
    head = models.CharField(max_length=100, blank=True, help_text="Of the audit trail, as it left.")
    started_by = models.CharField(max_length=150)
    started_at = models.DateTimeField(auto_now_add=True)
    until = models.DateTimeField(help_text="A move whose command has died is over then.")
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-pk",)

    def __str__(self) -> str:
        return f"to {self.url}: {self.get_state_display().lower()}"

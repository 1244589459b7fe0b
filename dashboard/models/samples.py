"""How bots have been, added up per 10 seconds, minute, hour and day."""

from django.db import models

from deployments.models import Server


class Sample(models.Model):
    """Sums over one stretch of time, so that shorter stretches add up to longer ones.

    Every heartbeat is added to all resolutions in one statement (`services.samples`): there is no roll-up job
    that could be late.
    """

    server = models.ForeignKey(Server, on_delete=models.CASCADE, related_name="samples")
    resolution = models.PositiveIntegerField(help_text="Length of the stretch in seconds.")
    at = models.DateTimeField(help_text="Its beginning, in UTC.")
    beats = models.PositiveIntegerField()
    connected_seconds = models.FloatField(help_text="Time proven to have been in the room.")
    observed_seconds = models.FloatField(
        default=0.0, db_default=0.0, help_text="Time in which it was listened to, whatever was heard."
    )
    users_sum = models.PositiveBigIntegerField()
    users_max = models.PositiveBigIntegerField()
    requests = models.PositiveBigIntegerField(help_text="Handled during this stretch.")
    errors = models.PositiveBigIntegerField(help_text="Failed during this stretch.")
    response_sum = models.FloatField(help_text="Milliseconds.")
    response_beats = models.PositiveIntegerField()
    response_max = models.FloatField()
    starts = models.PositiveIntegerField(help_text="Times the bot's process began anew.")

    class Meta:
        ordering = ("server", "resolution", "at")
        constraints = (models.UniqueConstraint(fields=["server", "resolution", "at"], name="one_sample_per_stretch"),)

    def __str__(self) -> str:
        return f"{self.server_id} {self.at:%Y-%m-%d %H:%M:%S} / {self.resolution} s"

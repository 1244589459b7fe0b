"""The latest word of each bot."""

from datetime import datetime, timedelta

from django.db import models

from dashboard.intervals import DOWN_AFTER, LISTENED, STALE_AFTER
from deployments.models import Server


class Condition(models.TextChoices):
    """What a bot's last heartbeat and its age mean together."""

    CONNECTED = "connected", "Connected"
    DISCONNECTED = "disconnected", "Not in its room"
    STALE = "stale", "No recent word"
    DOWN = "down", "Down"
    STOPPED = "stopped", "Stopped"


class BotState(models.Model):
    """The last heartbeat of the bot on one server. Every time but `sent_at` is the portal's own."""

    server = models.OneToOneField(Server, on_delete=models.CASCADE, primary_key=True, related_name="bot_state")
    connected = models.BooleanField()
    channel = models.CharField(max_length=100)
    uptime = models.FloatField(help_text="Seconds since the bot's process started.")
    version = models.CharField(max_length=100)
    user_count = models.PositiveBigIntegerField()
    requests = models.PositiveBigIntegerField()
    errors = models.PositiveBigIntegerField()
    release = models.CharField(max_length=64, blank=True)
    response_ms = models.FloatField(null=True, blank=True)
    sent_at = models.DateTimeField(help_text="By the bot's clock; only the difference is ever used.")
    heard_at = models.DateTimeField()
    first_heard_at = models.DateTimeField()
    changed_at = models.DateTimeField(
        help_text="Since when it is known to be what it is, without a silence or a new process."
    )
    observed_until = models.DateTimeField(
        null=True, blank=True, help_text="Up to when it was listened to, silences included; empty: up to its last word."
    )
    probed = models.BooleanField(
        default=False, db_default=False, help_text="It did not speak: the portal asked its health address."
    )
    goodbye = models.BooleanField(default=False, help_text="The bot said that it is stopping.")

    class Meta:
        ordering = ("server",)

    def __str__(self) -> str:
        return f"{self.server}: {'connected' if self.connected else 'disconnected'}"

    def condition(self, now: datetime) -> Condition:
        """What is true of the bot at `now`."""
        return condition_at(
            now, goodbye=self.goodbye, heard_at=self.heard_at, connected=self.connected, probed=self.probed
        )


def condition_at(now: datetime, *, goodbye: bool, heard_at: datetime, connected: bool, probed: bool) -> Condition:
    """What a bot's last word means at `now`. That nobody asked a probed one says nothing about it."""
    silence = now - heard_at
    if goodbye:
        return Condition.STOPPED
    if probed and silence > timedelta(seconds=LISTENED):
        return Condition.STALE
    if probed:
        return Condition.CONNECTED if connected else Condition.DISCONNECTED
    if silence > timedelta(seconds=DOWN_AFTER):
        return Condition.DOWN
    if silence > timedelta(seconds=STALE_AFTER):
        return Condition.STALE
    return Condition.CONNECTED if connected else Condition.DISCONNECTED

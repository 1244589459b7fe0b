"""Where the portal's own notifications go, and what became of each."""

from django.db import models

from deployments.models.applications import Application
from deployments.models.encryption import EncryptedTextField
from deployments.models.environments import Environment


class NotificationChannel(models.Model):
    """An Apprise URL; it may hold a password or token, so it is encrypted."""

    name = models.CharField(max_length=60, unique=True)
    url = EncryptedTextField(help_text="An Apprise URL: mailto://…, slack://…, json://…")
    environment = models.ForeignKey(
        Environment, on_delete=models.CASCADE, null=True, blank=True, help_text="Empty: all environments."
    )
    application = models.ForeignKey(
        Application, on_delete=models.CASCADE, null=True, blank=True, help_text="Empty: all applications."
    )
    events = models.JSONField(default=list, blank=True, help_text="Names of events; empty: all.")
    enabled = models.BooleanField(default=True)
    mails_subscribers = models.BooleanField(
        "mails subscribers",
        default=False,
        db_default=False,
        help_text="Sends public incidents to whoever subscribed on the status page; for mailto:// and mailtos://.",
    )

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class Subscriber(models.Model):
    """An e-mail address that asked to be told of public incidents; told once its owner has confirmed it.

    Tokens of its links are made of `secret` when a message leaves, and only their digests are kept to compare.
    """

    address = EncryptedTextField()
    address_digest = models.CharField(max_length=64, unique=True)
    secret = EncryptedTextField()
    confirmation = models.CharField(  # noqa: DJ001  (unique, and empty of many)
        max_length=64, unique=True, null=True, help_text="Digest; empty once it was used."
    )
    cancellation = models.CharField(max_length=64, unique=True, help_text="Digest of what ends it.")
    asked_at = models.DateTimeField()
    confirmed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("id",)

    def __str__(self) -> str:
        return f"subscriber {self.pk}"


class NotificationDelivery(models.Model):
    """One message to one channel, with its attempts."""

    class State(models.TextChoices):
        """What became of it."""

        WAITING = "waiting", "Waiting"
        DELIVERED = "delivered", "Delivered"
        FAILED = "failed", "Failed"

    channel = models.ForeignKey(NotificationChannel, on_delete=models.CASCADE, related_name="deliveries")
    subscriber = models.ForeignKey(
        Subscriber,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        editable=False,
        related_name="deliveries",
        help_text="Who gets it instead of the channel's own recipients.",
    )
    event = models.CharField(max_length=60)
    subject = models.CharField(max_length=100)
    title = models.CharField(max_length=250)
    body = models.TextField()
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0)
    error = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    delivered_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "notification deliveries"
        ordering = ("-id",)
        indexes = (
            models.Index(fields=["state", "-id"], name="deliveries_by_state"),
            models.Index(fields=["event", "-id"], name="deliveries_by_event"),
            models.Index(fields=["channel", "state", "-delivered_at"], name="deliveries_by_channel"),
        )

    def __str__(self) -> str:
        return f"{self.event} → {self.channel}"

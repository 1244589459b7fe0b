"""What is done to a running service besides deploying."""

import shlex

from django.db import models

from deployments.models.encryption import EncryptedTextField
from deployments.models.servers import Server


class Operation(models.Model):
    """One action on one server: who asked, what was said in the end, and what it printed."""

    class Kind(models.TextChoices):
        """What is done."""

        RESTART = "restart", "Restart"
        STOP = "stop", "Stop"
        START = "start", "Start"
        RESTORE = "restore", "Restore data"
        RUN = "run", "Command"
        PROVISION = "provision", "Provisioning"

    class State(models.TextChoices):
        """How far it is."""

        QUEUED = "queued", "Queued"
        RUNNING = "running", "Running"
        SUCCEEDED = "succeeded", "Succeeded"
        FAILED = "failed", "Failed"
        LOST = "lost", "Not known"

    ACTIVE = (State.QUEUED, State.RUNNING)

    server = models.ForeignKey(Server, on_delete=models.PROTECT, related_name="operations")
    kind = models.CharField(max_length=12, choices=Kind.choices)
    request = models.JSONField(default=dict, blank=True, help_text="What exactly was asked for.")
    reason = models.CharField(max_length=500, blank=True)
    requested_by = models.CharField(max_length=150)
    requested_at = models.DateTimeField(auto_now_add=True)
    state = models.CharField(max_length=12, choices=State.choices, default=State.QUEUED)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    worker = models.CharField(max_length=150, blank=True, default="", db_default="", help_text="Which process has it.")
    heard_at = models.DateTimeField(null=True, blank=True, help_text="When its process last said so.")
    outcome = models.CharField(max_length=60, blank=True, help_text="A stable word for how it ended.")
    sentence = models.TextField(blank=True)
    facts = models.JSONField(default=dict, blank=True)
    output = models.TextField(blank=True, help_text="What it printed, masked and cut.")

    credentials = EncryptedTextField(blank=True, default="", db_default="", editable=False)
    """Not written any more: what a provisioning signs in with is a BootstrapKey."""

    class Meta:
        ordering = ("-id",)
        constraints = (
            models.UniqueConstraint(
                fields=["server"], condition=models.Q(state__in=["queued", "running"]), name="one_operation_per_server"
            ),
        )

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.pk} on {self.server.name}"

    @property
    def ended(self) -> bool:
        """Whether its state can no longer change."""
        return self.state not in self.ACTIVE

    @property
    def seconds(self) -> float | None:
        """Begin to end; None before both."""
        if self.started_at is None or self.finished_at is None:
            return None
        return (self.finished_at - self.started_at).total_seconds()

    @property
    def shown_command(self) -> str:
        """The command as one would type it; empty for what is none."""
        return shlex.join(self.request.get("command", ()))

    @property
    def exit_code(self) -> int:
        """What a command line that waited for it exits with: of a command that ran, its own."""
        if self.kind == self.Kind.RUN and isinstance(self.facts.get("exit"), int):
            return int(self.facts["exit"]) or int(self.state != self.State.SUCCEEDED)
        return {self.State.SUCCEEDED: 0, self.State.LOST: 7}.get(self.State(self.state), 1)


class BootstrapKey(models.Model):
    """What a provisioning signs in with, a person's key to root: until a worker begins, and for an hour at most.

    A table of its own, which no backup has.
    """

    operation = models.OneToOneField(
        Operation, on_delete=models.CASCADE, primary_key=True, related_name="bootstrap_key"
    )
    sealed = EncryptedTextField(editable=False)
    made_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"key of {self.operation_id}"

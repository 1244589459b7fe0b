"""Repositories that tell of pushes, and what became of each push."""

from django.core.validators import RegexValidator
from django.db import models

from deployments.models.applications import name_validator
from deployments.models.encryption import EncryptedTextField
from deployments.models.environments import Environment
from deployments.models.github import REF
from deployments.models.releases import Release


class PushSource(models.Model):
    """A repository and a ref of it that an environment follows. Made and ended, never edited; its name stays taken."""

    class Kind(models.TextChoices):
        """Whose webhooks it sends."""

        GITHUB = "github", "GitHub"
        GITLAB = "gitlab", "GitLab"
        GITEA = "gitea", "Gitea or Forgejo"

    name = models.CharField(
        max_length=31, unique=True, validators=[name_validator], help_text="Part of the webhook's address."
    )
    kind = models.CharField(max_length=6, choices=Kind.choices)
    url = models.CharField(
        "repository",
        max_length=500,
        validators=[
            RegexValidator(
                r"^(https://[A-Za-z0-9.-]+|http://(localhost|127\.0\.0\.1))(:[0-9]{1,5})?(/[A-Za-z0-9._~-]+){2,8}\Z",
                "Write https://HOST/OWNER/NAME.git, without user and password.",
            )
        ],
        help_text="Where it is fetched from: https://HOST/OWNER/NAME.git.",
    )
    ref = models.CharField(max_length=250, validators=[REF], help_text="refs/heads/main, or refs/tags/v*.")
    environment = models.ForeignKey(Environment, on_delete=models.CASCADE, related_name="sources")
    secret = EncryptedTextField(editable=False)
    access_token = EncryptedTextField(blank=True, default="", editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.CharField(max_length=150, editable=False)
    ended_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class Push(models.Model):
    """One delivery of a webhook that was signed: what was pushed, and what came of it."""

    class State(models.TextChoices):
        """How far it has come."""

        QUEUED = "queued", "Queued"
        BUILDING = "building", "Building"
        REQUESTED = "requested", "Requested"
        IGNORED = "ignored", "Ignored"
        FAILED = "failed", "Failed"

    source = models.ForeignKey(PushSource, on_delete=models.CASCADE, related_name="pushes")
    number = models.CharField(max_length=100, help_text="The delivery's id, as its sender gave it.")
    digest = models.CharField(max_length=64, help_text="sha256 of the body.")
    ref = models.CharField(max_length=250)
    commit = models.CharField(max_length=64)
    pushed_by = models.CharField(max_length=100, blank=True, help_text="The account's name there.")
    person = models.CharField(max_length=150, blank=True, help_text="Whose account that is here.")
    state = models.CharField(max_length=10, choices=State.choices, default=State.QUEUED)
    sentence = models.CharField(max_length=500, blank=True)
    release = models.ForeignKey(Release, on_delete=models.SET_NULL, null=True, related_name="+")
    deployment = models.ForeignKey("deployments.Deployment", on_delete=models.SET_NULL, null=True, related_name="+")
    received_at = models.DateTimeField(auto_now_add=True)
    taken_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("-pk",)
        verbose_name_plural = "pushes"
        constraints = (
            models.UniqueConstraint(fields=["source", "number"], name="one_push_per_delivery"),
            models.UniqueConstraint(fields=["source", "digest"], name="one_push_per_body"),
        )

    def __str__(self) -> str:
        return f"{self.commit[:10]} to {self.ref}"

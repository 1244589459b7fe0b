"""Where releases of an application run, with the policy each is governed by."""

from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.utils import timezone

from deployments.models.applications import name_validator
from deployments.models.encryption import EncryptedTextField
from deployments.snapshot import BATCH, MAX_FAILURES


class Environment(models.Model):
    """A place where one release of one application runs, on one or more servers."""

    class BakeAction(models.TextChoices):
        """What a new critical alert does while a deployment bakes."""

        ROLLBACK = "rollback", "Roll back"
        PAUSE = "pause", "Lock the environment"

    class ReleasesFrom(models.TextChoices):
        """Which releases may be asked for, from the loosest to the strictest."""

        COMMITS = "commits", "Commits: also 1.4.0+g3f2a91c"
        VERSIONS = "versions", "Versions: a number that somebody gave"
        TAGS = "tags", "Tags only: the commit has its version's tag"

    name = models.CharField(max_length=31, validators=[name_validator])
    order = models.PositiveSmallIntegerField(default=0)
    application = models.CharField(
        max_length=31, blank=True, help_text="The name in deploy.toml; set by the first provisioning or deployment."
    )
    shared_name = models.BooleanField(
        default=False,
        db_default=False,
        editable=False,
        help_text="Another application has an environment of this name: both are called application/name.",
    )
    former_names = models.JSONField(
        default=list, null=True, editable=False, help_text="What it was called before, the last name first."
    )
    retired_at = models.DateTimeField(null=True, blank=True, editable=False)
    approvals_required = models.PositiveSmallIntegerField(default=0)
    approval_hours = models.PositiveSmallIntegerField(default=24, help_text="A request expires after this many hours.")
    signed_approvals = models.BooleanField(
        default=False, db_default=False, help_text="Only approvals that sign the seal count."
    )
    releases_from = models.CharField(
        max_length=8,
        choices=ReleasesFrom.choices,
        default=ReleasesFrom.VERSIONS,
        db_default=ReleasesFrom.VERSIONS,
        help_text="Which releases may be asked for here.",
    )
    configuration = models.JSONField(
        default=dict,
        blank=True,
        help_text='Values laid over the release\'s configuration files: {"bot.json": {"domain": "…"}}.',
    )
    bake_seconds = models.PositiveIntegerField(default=300)
    bake_action = models.CharField(max_length=10, choices=BakeAction.choices, default=BakeAction.ROLLBACK)
    batch = models.PositiveSmallIntegerField(
        "servers at a time",
        default=BATCH,
        db_default=BATCH,
        validators=[MinValueValidator(1), MaxValueValidator(100)],
        help_text="After the first server, which goes alone, so many are worked on side by side.",
    )
    max_failures = models.PositiveSmallIntegerField(
        "failures allowed",
        default=MAX_FAILURES,
        db_default=MAX_FAILURES,
        help_text="So many servers may fail and stay as they were; one more, or the first server, and all go back.",
    )
    locked_at = models.DateTimeField(null=True, blank=True, editable=False)
    locked_by = models.CharField(max_length=150, blank=True, editable=False)
    lock_reason = models.CharField(max_length=500, blank=True, editable=False)
    lock_until = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text="When it ends by itself; empty: when somebody unlocks it.",
    )
    fence = models.PositiveBigIntegerField(
        default=0, editable=False, help_text="Taken by each execution; a server refuses a lower one."
    )
    public_key = models.TextField(blank=True, editable=False)
    private_key = EncryptedTextField(blank=True, default="", editable=False)
    next_public_key = models.TextField(blank=True, default="", db_default="", editable=False)
    next_private_key = EncryptedTextField(blank=True, default="", db_default="", editable=False)
    previous_public_key = models.TextField(
        blank=True, editable=False, help_text="Replaced, and not yet taken off every server."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("order", "name")
        constraints = (
            models.UniqueConstraint(fields=["application", "name"], name="one_environment_of_a_name_per_application"),
        )

    def __str__(self) -> str:
        """What people and machines call it; every command takes it."""
        return self.path if self.shared_name else self.name

    @property
    def path(self) -> str:
        """`application/name`, which names it always; the name alone while it belongs to none."""
        return f"{self.application}/{self.name}" if self.application else self.name

    @property
    def names(self) -> tuple[str, ...]:
        """Its name, then those it had: which table of a deploy.toml is meant (`releases.artifacts.table_of`)."""
        return (self.name, *(self.former_names or ()))

    @property
    def retired(self) -> bool:
        """Whether it is kept for its history alone."""
        return self.retired_at is not None

    @property
    def protected(self) -> bool:
        """Whether a deployment here needs somebody's approval."""
        return self.approvals_required > 0

    @property
    def rotation(self) -> str:
        """How far a rotation of the key has come, as a sentence; empty when none is under way."""
        if self.next_public_key:
            return "A new key is let in beside this one; rotate_keys has not reached every server yet."
        if self.previous_public_key:
            return "The key before this one still opens a server; rotate_keys takes it out."
        return ""

    @property
    def locked(self) -> bool:
        """Whether new deployments are refused (rollbacks never are): a lock holds no longer than until its end."""
        return self.locked_at is not None and (self.lock_until is None or self.lock_until > timezone.now())


class PolicyChange(models.Model):
    """A request to loosen an environment's approval policy; a second person decides it."""

    class State(models.TextChoices):
        """Where the request stands."""

        WAITING = "waiting", "Waiting"
        APPLIED = "applied", "Applied"
        REJECTED = "rejected", "Rejected"
        WITHDRAWN = "withdrawn", "Withdrawn"

    environment = models.ForeignKey(Environment, on_delete=models.CASCADE, related_name="policy_changes")
    before = models.JSONField(default=dict, help_text="The same fields as they were when it was asked for.")
    changes = models.JSONField(help_text="Field names with the values asked for.")
    reason = models.CharField(max_length=500)
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    requested_by = models.CharField(max_length=150)
    requested_at = models.DateTimeField(auto_now_add=True)
    decided_by = models.CharField(max_length=150, blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)
    comment = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ("-requested_at",)
        constraints = (
            models.UniqueConstraint(
                fields=["environment"], condition=models.Q(state="waiting"), name="one_waiting_policy_change"
            ),
        )

    def __str__(self) -> str:
        return f"{self.environment}: {self.sentence}"

    @property
    def sentence(self) -> str:
        """What would change, in words: `approvals required 1 → 0`."""
        return ", ".join(
            f"{name.replace('_', ' ')} {self.before.get(name, '?')} → {value}" for name, value in self.changes.items()
        )


class Secret(models.Model):
    """One version of a secret that servers of an environment receive; old versions stay readable for rollbacks."""

    environment = models.ForeignKey(Environment, on_delete=models.CASCADE, related_name="secrets")
    name = models.CharField(max_length=63, validators=[RegexValidator(r"^[a-z][a-z0-9-]{0,62}\Z")])
    version = models.PositiveIntegerField()
    value = EncryptedTextField()
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.CharField(max_length=150)

    class Meta:
        ordering = ("environment", "name", "-version")
        constraints = (models.UniqueConstraint(fields=["environment", "name", "version"], name="one_secret_version"),)

    def __str__(self) -> str:
        return f"{self.environment}/{self.name} v{self.version}"

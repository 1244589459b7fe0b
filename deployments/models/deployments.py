"""Deployments with their approvals, targets, steps and log lines."""

from typing import TYPE_CHECKING, Any

from django.db import models
from django.utils import timezone

from deployments.lifecycle import (
    ACTIVE,
    EXECUTING,
    EXIT_CODES,
    FINAL,
    Kind,
    Status,
    StepState,
    TargetStatus,
    sources_of,
)
from deployments.models.environments import Environment
from deployments.models.releases import Release
from deployments.models.servers import Server
from deployments.snapshot import Snapshot

if TYPE_CHECKING:
    from uuid import UUID


class DeploymentQuerySet(models.QuerySet["Deployment"]):
    """Deployments; every status is written through `move`."""

    def move(
        self, pk: int, target: Status, *, source: Status | None = None, claim: "UUID | None" = None, **fields: Any
    ) -> bool:
        """Compare-and-set: set `target` where the status still allows it (and `claim` still holds it).

        A deployment that has ended is moved only by naming that status as its `source`. Returns False when the row was
        not in a status that leads to `target`, or another worker holds it.
        """
        sources = frozenset({source}) & sources_of(target) if source else sources_of(target) - FINAL
        rows = self.filter(pk=pk, status__in=sources)
        if claim is not None:
            rows = rows.filter(claim=claim)
        if target in FINAL:
            fields.setdefault("finished_at", timezone.now())
            fields.setdefault("lease_until", None)
        return rows.update(status=target, **fields) == 1

    def active(self) -> "DeploymentQuerySet":
        """Queued, running or verifying."""
        return self.filter(status__in=ACTIVE)

    def successes_after(self, environment: Any, finished_at: Any, pk: Any) -> "DeploymentQuerySet":
        """What succeeded in an environment since one that ended then did, the first first."""
        rows = self.filter(environment=environment, status=Status.SUCCEEDED, finished_at__gte=finished_at)
        return rows.exclude(pk=pk).order_by("finished_at", "id")

    def with_taken_back(self) -> "DeploymentQuerySet":
        """For lists: each knows whether the next success in its environment was a rollback to another release."""
        outer = (models.OuterRef(name) for name in ("environment", "finished_at", "pk"))
        later = Deployment.objects.successes_after(*outer)
        away = models.Q(kind=Kind.ROLLBACK) & ~models.Q(release=models.OuterRef("release"))
        went = models.Case(models.When(away, then=True), default=False, output_field=models.BooleanField())
        following = models.Subquery(later.values(went=went)[:1])
        return self.annotate(went_back=models.Case(models.When(status=Status.SUCCEEDED, then=following), default=False))

    def executing(self) -> "DeploymentQuerySet":
        """Claimed by a worker and not ended."""
        return self.filter(status__in=EXECUTING)


class Deployment(models.Model):
    """One request to put one release on one environment."""

    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="deployments")
    release = models.ForeignKey(Release, on_delete=models.PROTECT, related_name="deployments")
    kind = models.CharField(max_length=12, choices=Kind.choices, default=Kind.DEPLOYMENT)
    rollback_of = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="rollbacks", editable=False
    )
    superseded_by = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="supersedes", editable=False
    )
    status = models.CharField(max_length=20, choices=Status.choices)
    outcome = models.CharField(max_length=60, blank=True, help_text="Stable word for why it ended as it did.")
    sentence = models.TextField(blank=True, help_text="What happened, what it means, what to do next.")
    requested_by = models.CharField(max_length=150)
    reason = models.CharField(max_length=500, blank=True)
    break_glass = models.BooleanField(default=False)
    drill = models.BooleanField(
        default=False, db_default=False, editable=False, help_text="A rehearsal, which no alert counts."
    )
    reviewed_by = models.CharField(max_length=150, blank=True, help_text="Who reviewed the break-glass use.")
    reviewed_at = models.DateTimeField(null=True, blank=True)
    snapshot = models.JSONField(default=dict)
    seal = models.CharField(max_length=64, help_text="sha256 of the snapshot.")
    fence = models.PositiveBigIntegerField(null=True, blank=True)
    claim = models.UUIDField(null=True, blank=True, help_text="The token of the worker that has it.")
    worker = models.CharField(max_length=150, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    cancel_requested_by = models.CharField(max_length=150, blank=True)
    requested_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(null=True, blank=True)
    queued_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    verified_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    bake_until = models.DateTimeField(null=True, blank=True)

    objects = DeploymentQuerySet.as_manager()

    class Meta:
        ordering = ("-id",)
        constraints = (
            models.UniqueConstraint(
                fields=["environment"],
                condition=models.Q(status__in=sorted(ACTIVE)),
                name="one_active_deployment_per_environment",
            ),
            models.CheckConstraint(condition=models.Q(status__in=Status.values), name="known_status"),
            models.CheckConstraint(
                condition=models.Q(status__in=sorted(FINAL), finished_at__isnull=False)
                | ~models.Q(status__in=sorted(FINAL)),
                name="an_ended_deployment_has_its_end",
            ),
        )
        indexes = (
            models.Index(fields=["environment", "status", "-id"], name="by_environment_status"),
            models.Index(fields=["-finished_at"], name="by_end"),
            models.Index(fields=["status", "-id"], name="by_status"),
            models.Index(fields=["kind", "-id"], name="by_kind"),
            models.Index(fields=["kind", "status", "-id"], name="by_kind_and_status"),
            models.Index(fields=["environment", "kind", "-id"], name="by_environment_kind"),
            models.Index(fields=["environment", "kind", "drill", "status", "finished_at"], name="by_result"),
            models.Index(fields=["environment", "-started_at"], name="by_environment_begin"),
            models.Index(fields=["environment", "-finished_at", "-id"], name="by_environment_end"),
            models.Index(fields=["environment", "status", "-finished_at", "-id"], name="by_environment_success"),
            models.Index(fields=["release", "kind", "status", "finished_at"], name="by_release_end"),
            models.Index(fields=["-id"], condition=models.Q(break_glass=True), name="uses_of_break_glass"),
            models.Index(fields=["status"], condition=models.Q(verified_at=None), name="unverified_by_status"),
        )

    def __str__(self) -> str:
        return f"#{self.pk} {self.release} → {self.environment}"

    @property
    def sealed(self) -> Snapshot:
        """Its snapshot as a value; the seal is over the stored document. Raises InvalidRequest when it is none."""
        return Snapshot.from_json(self.snapshot)

    @property
    def aim(self) -> str:
        """`Deployment of 0.2.0`, `Rollback to 0.1.0`: one goes back to a release, never away from it."""
        preposition = "to" if self.kind == Kind.ROLLBACK else "of"
        return f"{self.get_kind_display()} {preposition} {self.release.version}"

    @property
    def taken_back(self) -> bool:
        """Whether it succeeded and the next success there was a rollback; known of rows `with_taken_back` alone."""
        return self.status == Status.SUCCEEDED and bool(getattr(self, "went_back", False))

    @property
    def grade(self) -> str:
        """The class that colours its status in a list."""
        return TargetStatus.REVERTED if self.taken_back else self.status

    def get_status_display(self) -> str:  # type: ignore[no-redef]  # in place of the one that Django makes
        """Its status in words; in a list, what was taken back says so."""
        return f"{Status(self.status).label}{', taken back' if self.taken_back else ''}"

    @property
    def active(self) -> bool:
        """Queued, running or verifying."""
        return self.status in ACTIVE

    @property
    def ended(self) -> bool:
        """Whether its status can no longer change."""
        return self.status in FINAL

    @property
    def exit_code(self) -> int:
        """What a command line that waited for it exits with."""
        return EXIT_CODES[Status(self.status)]

    @property
    def seconds(self) -> float | None:
        """Claim → end, in seconds."""
        if self.started_at is None or self.finished_at is None:
            return None
        return (self.finished_at - self.started_at).total_seconds()


class Approval(models.Model):
    """One person's decision about one sealed request."""

    class Decision(models.TextChoices):
        """What was decided."""

        APPROVED = "approved", "Approved"
        REJECTED = "rejected", "Rejected"

    deployment = models.ForeignKey(Deployment, on_delete=models.CASCADE, related_name="approvals")
    actor = models.CharField(max_length=150)
    decision = models.CharField(max_length=10, choices=Decision.choices)
    comment = models.CharField(max_length=500, blank=True)
    seal = models.CharField(max_length=64)
    signature = models.TextField(blank=True, default="", db_default="", help_text="By a signing key of the person's.")
    signed_with = models.CharField(max_length=80, blank=True, default="", db_default="", help_text="Its fingerprint.")
    decided_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ("decided_at", "id")
        constraints = (models.UniqueConstraint(fields=["deployment", "actor"], name="one_decision_per_person"),)

    def __str__(self) -> str:
        return f"{self.decision} by {self.actor}"


class Target(models.Model):
    """A server taking part in one deployment."""

    deployment = models.ForeignKey(Deployment, on_delete=models.CASCADE, related_name="targets")
    server = models.ForeignKey(Server, on_delete=models.PROTECT, related_name="targets")
    order = models.PositiveSmallIntegerField()
    status = models.CharField(max_length=12, choices=TargetStatus.choices, default=TargetStatus.WAITING)
    outcome = models.CharField(max_length=60, blank=True)
    sentence = models.TextField(blank=True)
    base_release = models.ForeignKey(Release, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    journal_seq = models.PositiveIntegerField(default=0, help_text="Last line of the host's journal stored here.")
    facts = models.JSONField(default=dict, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("deployment", "order")
        constraints = (models.UniqueConstraint(fields=["deployment", "server"], name="a_server_takes_part_once"),)

    def __str__(self) -> str:
        return f"{self.server} in #{self.deployment_id}"

    @property
    def word(self) -> str:
        """Its status in words; what still waits when the deployment has ended never began; a revert has one name."""
        if self.status == TargetStatus.WAITING and self.deployment.ended:
            return "Not begun"
        if self.status == TargetStatus.REVERTED:
            return Status.ROLLED_BACK.label
        return self.get_status_display()

    @property
    def looked_at(self) -> str:
        """What was looked at after its activation, in its agent's words: of the watch, else of the verification."""
        words = self.facts.get("watch", {}).get("sentence")
        return str(words).rstrip(".") if words else self.looked_at_first

    @property
    def looked_at_first(self) -> str:
        """What the verification had looked at, before the watch went on."""
        proof = self.facts.get("proof", {})
        return str(proof.get("watched") or ("not recorded" if proof else "nothing")).rstrip(".")


class Step(models.Model):
    """One recorded action on one target."""

    target = models.ForeignKey(Target, on_delete=models.CASCADE, related_name="steps")
    name = models.CharField(max_length=30)
    state = models.CharField(max_length=10, choices=StepState.choices, default=StepState.RUNNING)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    seconds = models.FloatField(null=True, blank=True)
    facts = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ("id",)

    def __str__(self) -> str:
        return f"{self.name}: {self.state}"


class LogLine(models.Model):
    """One line a person can read, masked before it was stored; polled by `?after=<id>`."""

    deployment = models.ForeignKey(Deployment, on_delete=models.CASCADE, related_name="log_lines")
    target = models.ForeignKey(Target, on_delete=models.CASCADE, null=True, blank=True, related_name="log_lines")
    at = models.DateTimeField(default=timezone.now)
    step = models.CharField(max_length=30, blank=True)
    stream = models.CharField(max_length=10, default="portal")
    text = models.TextField()

    class Meta:
        ordering = ("id",)
        indexes = (models.Index(fields=["deployment", "id"], name="log_by_deployment"),)

    def __str__(self) -> str:
        return self.text

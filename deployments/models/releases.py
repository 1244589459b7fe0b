"""Immutable versions chosen for deployment."""

from django.db import models


class Release(models.Model):
    """A built artifact with the digests that prove what it holds."""

    identifier = models.CharField(max_length=64, unique=True, help_text="version-digest; the directory on servers.")
    name = models.CharField(max_length=31, help_text="The name in deploy.toml.")
    version = models.CharField(max_length=50)
    manifest_digest = models.CharField(max_length=64)
    artifact_digest = models.CharField(max_length=64)
    artifact = models.FileField(upload_to="releases/")
    size = models.PositiveBigIntegerField(help_text="Bytes of the artifact.")
    files = models.PositiveIntegerField()
    commit = models.CharField(max_length=64, blank=True)
    ref = models.CharField(max_length=250, blank=True)
    tag = models.CharField(
        max_length=64,
        blank=True,
        default="",
        db_default="",
        help_text="The tag of its version that was at its commit, by its builder's word.",
    )
    change_log = models.TextField(blank=True, help_text="Commit subjects since the release built before.")
    builder = models.CharField(max_length=150)
    built_at = models.DateTimeField(auto_now_add=True)
    quarantined_at = models.DateTimeField(null=True, blank=True, editable=False)
    quarantined_by = models.CharField(max_length=150, blank=True, editable=False)
    quarantine_reason = models.CharField(max_length=500, blank=True, editable=False)

    class Meta:
        ordering = ("-built_at", "-id")
        indexes = (
            models.Index(fields=["-built_at", "-id"], name="releases_by_time"),
            models.Index(fields=["name", "-built_at"], name="releases_by_application"),
        )
        constraints = (models.UniqueConstraint(fields=["name", "version"], name="one_digest_per_version"),)

    def __str__(self) -> str:
        return self.identifier

    @property
    def quarantined(self) -> bool:
        """Whether a rollback marked it as bad; a new request of it must say why."""
        return self.quarantined_at is not None

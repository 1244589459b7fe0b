"""Who may act: roles as groups, and tokens for programs."""

from django.conf import settings
from django.db import models

from deployments.models.environments import Environment
from deployments.models.github import WorkflowBinding
from deployments.models.servers import Server


class Role(models.TextChoices):
    """A person's role is the group of the same name; a migration makes the groups."""

    VIEWER = "viewer", "Viewer"
    OPERATOR = "operator", "Operator"
    APPROVER = "approver", "Approver"
    ADMINISTRATOR = "administrator", "Administrator"


class Scope(models.TextChoices):
    """What an API token may do."""

    READ = "read", "Read"
    RELEASE = "release", "Upload releases"
    DEPLOY = "deploy", "Request, cancel and roll back"
    OPERATE = "operate", "Restart, stop and start; read journals; lock environments"
    RUN = "run", "Run commands as an application's account"
    APPROVE = "approve", "Approve and reject"
    ADMINISTER = "administer", "Enrol and provision servers, set secrets"
    HEARTBEAT = "heartbeat", "Report a bot's health"
    ALERTS = "alerts", "Acknowledge and silence alerts; a machine's delivers them"
    METRICS = "metrics", "Read metrics and scrape targets"


class ApiToken(models.Model):
    """A token shown once and stored as a hash; it acts with its owner's roles, narrowed to its scopes."""

    name = models.CharField(max_length=100)
    digest = models.CharField(max_length=64, unique=True, editable=False, help_text="sha256 of the token.")
    prefix = models.CharField(max_length=12, editable=False, help_text="Its first characters, to tell tokens apart.")
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, blank=True, related_name="api_tokens"
    )
    server = models.ForeignKey(Server, on_delete=models.CASCADE, null=True, blank=True, related_name="tokens")
    environment = models.ForeignKey(Environment, on_delete=models.CASCADE, null=True, blank=True, related_name="tokens")
    binding = models.ForeignKey(
        WorkflowBinding, on_delete=models.CASCADE, null=True, blank=True, editable=False, related_name="tokens"
    )
    exchanged_for = models.CharField(  # noqa: DJ001  (empty texts would not be unique)
        max_length=64,
        unique=True,
        null=True,
        editable=False,
        help_text="sha256 of the number of the identity that a workflow exchanged: each is taken once.",
    )
    scopes = models.JSONField(default=list)
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.CharField(max_length=150, editable=False)

    class Meta:
        verbose_name = "API token"
        ordering = ("-created_at",)

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"


class SigningKey(models.Model):
    """A person's public key; a signature by it counts once a second person has confirmed that it is theirs."""

    person = models.CharField(max_length=150)
    name = models.CharField(max_length=100)
    public_key = models.TextField(help_text="As in a .pub file, without its comment; or a passkey.")
    credential = models.TextField(blank=True, default="", db_default="", help_text="Of a passkey: its identifier.")
    fingerprint = models.CharField(max_length=80, unique=True, help_text="A key is one person's, and never comes back.")
    added_by = models.CharField(max_length=150)
    added_at = models.DateTimeField(auto_now_add=True)
    confirmed_by = models.CharField(max_length=150, blank=True)
    confirmed_at = models.DateTimeField(null=True, blank=True)
    revoked_by = models.CharField(max_length=150, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-added_at",)

    def __str__(self) -> str:
        return f"{self.name} of {self.person}"

    @property
    def passkey(self) -> bool:
        """Whether it signs in a browser."""
        return bool(self.credential)

    @property
    def state(self) -> str:
        """`waiting`, `confirmed` or `revoked`."""
        return "revoked" if self.revoked_at else "confirmed" if self.confirmed_at else "waiting"

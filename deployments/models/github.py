"""What workflows on GitHub may do here without a stored token, and whose accounts there are whose here."""

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models

from deployments.models.environments import Environment

REF = RegexValidator(r"^refs/(heads/[^\s*]+|tags/[^\s*]+\*?)\Z", "Write refs/heads/main, or refs/tags/v*.")
"""A branch, or tags: only tags end in a star."""


class WorkflowBinding(models.Model):
    """Claims of a workflow's identity, each exact, and the scopes that a run with all of them gets. Never edited."""

    name = models.CharField(max_length=100)
    repository = models.CharField(
        max_length=140, validators=[RegexValidator(r"^[A-Za-z0-9-]{1,39}/[A-Za-z0-9._-]{1,100}\Z", "Write owner/name.")]
    )
    repository_id = models.PositiveBigIntegerField(help_text="Its number: a name can become somebody else's.")
    ref = models.CharField(
        max_length=250,
        validators=[REF],
        help_text="refs/heads/main; refs/tags/v* is every tag that begins so.",
    )
    github_environment = models.CharField(max_length=255, help_text="The environment that the job names on GitHub.")
    workflow = models.CharField(
        max_length=250,
        blank=True,
        default="",
        help_text=".github/workflows/deploy.yml; empty is every workflow of that ref.",
    )
    environment = models.ForeignKey(Environment, on_delete=models.CASCADE, null=True, blank=True)
    scopes = models.JSONField(default=list)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.CharField(max_length=150, editable=False)
    ended_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ("repository", "ref", "name")

    def __str__(self) -> str:
        return f"{self.name} ({self.repository})"


class GitHubAccount(models.Model):
    """The account on GitHub that a person says is theirs; confirmed, what is asked there counts as asked by them.

    Several people may say so of one account until one of them is confirmed: whoever lies keeps its owner out no more.
    """

    person = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="github_account")
    login = models.CharField(
        max_length=39, validators=[RegexValidator(r"^[A-Za-z0-9-]{1,39}\Z", "Write the login, without an @.")]
    )
    account_id = models.PositiveBigIntegerField(db_index=True, help_text="Its number: a login can be given away.")
    linked_at = models.DateTimeField(auto_now_add=True)
    confirmed_by = models.CharField(max_length=150, blank=True, default="", db_default="")
    confirmed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "GitHub account"
        ordering = ("person",)
        constraints = (
            models.UniqueConstraint(
                fields=["account_id"],
                condition=models.Q(confirmed_at__isnull=False),
                name="one_owner_per_github_account",
            ),
        )

    def __str__(self) -> str:
        return self.login

    @classmethod
    def of(cls, account_id: int) -> "GitHubAccount | None":
        """Whose the account with that number is: who was confirmed, or else, so that they get nothing, who says so and
        is switched off; or else anybody who says so, whose it does not count as."""
        order = (models.F("confirmed_at").asc(nulls_last=True), "person__is_active", "pk")
        return cls.objects.filter(account_id=account_id).select_related("person").order_by(*order).first()

    @property
    def counts(self) -> bool:
        """Whether what it starts is its person's: once somebody else has confirmed it. Of somebody who is switched off
        it always is, so that they get nothing."""
        return self.confirmed_at is not None or not self.person.is_active

    @property
    def told(self) -> dict[str, object]:
        """What the record says of it: its number once confirmed, since who confirms it hears it from its person."""
        return {"login": self.login} | ({"account_id": self.account_id} if self.confirmed_at else {})

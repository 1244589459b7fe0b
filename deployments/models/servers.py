"""The machines that deployments reach."""

from collections.abc import Iterable

from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models

from deployments.models.applications import name_validator
from deployments.models.environments import Environment
from deployments.models.releases import Release

DEPLOYED_FACTS = ("identity", "health")
"""Facts that come with a deployment: the account that its bot signs in with, and where its health is asked."""


def _once(difference: str) -> str:
    """As it was said before one file "differs": what was accepted then stays accepted."""
    return difference.replace(" differs, ", " differ, ")


class Server(models.Model):
    """A machine record with the host key a person confirmed."""

    class State(models.TextChoices):
        """How far the machine is ready."""

        ENROLLED = "enrolled", "Enrolled"
        PROVISIONED = "provisioned", "Provisioned"
        RETIRED = "retired", "Decommissioned"

    class Service(models.TextChoices):
        """What the service of the role bot is, by its deploy.toml, and so how one learns how it is."""

        BOT = "bot", "A bot: it says whether it is in its room"
        ASKED = "asked", "A service: its health address is asked"
        UNASKED = "unasked", "A service without a health address"

    name = models.CharField(max_length=31, unique=True, validators=[name_validator])
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="servers")
    order = models.PositiveSmallIntegerField(
        default=0, help_text="Deployments go in this order; the first is the canary."
    )
    host = models.CharField(max_length=253, validators=[RegexValidator(r"^[A-Za-z0-9.:_-]+\Z")])
    port = models.PositiveIntegerField(default=22, validators=[MinValueValidator(1), MaxValueValidator(65535)])
    user = models.CharField(max_length=32, default="rosey", validators=[RegexValidator(r"^[a-z_][a-z0-9_-]{0,31}\Z")])
    roles = models.JSONField(default=list, help_text="bot, portal, monitoring")
    host_key = models.TextField(help_text="Type and base64 of the pinned host key.")
    fingerprint = models.CharField(max_length=60)
    jump = models.CharField(
        "by way of",
        max_length=300,
        blank=True,
        default="",
        db_default="",
        help_text="The jump host that every connection goes through, as user@host:port.",
    )
    jump_host_key = models.TextField(blank=True, default="", db_default="", help_text="Its pinned host key.")
    state = models.CharField(max_length=12, choices=State.choices, default=State.ENROLLED)
    facts = models.JSONField(default=dict, blank=True, help_text="What provisioning found: Python, disk, clock.")
    unit_files = models.JSONField(
        default=dict, blank=True, help_text="sha256 of every unit file provisioning installed."
    )
    strict_firewall = models.BooleanField(
        default=False,
        db_default=False,
        editable=False,
        help_text="Every port but those named is closed, not only our own private ones.",
    )
    secret_versions = models.JSONField(default=dict, blank=True)
    current_release = models.ForeignKey(
        Release, on_delete=models.PROTECT, null=True, blank=True, related_name="current_on", editable=False
    )
    previous_release = models.ForeignKey(
        Release, on_delete=models.PROTECT, null=True, blank=True, related_name="previous_on", editable=False
    )
    config_digest = models.CharField(max_length=64, blank=True, editable=False)
    readiness = models.JSONField(default=dict, blank=True, editable=False, help_text="Is the rollback target whole?")
    drift = models.JSONField(
        default=dict, blank=True, editable=False, help_text="How the host differs from this record."
    )
    stopped = models.JSONField(
        null=True,
        blank=True,
        editable=False,
        help_text="Units that somebody stopped: by whom, when and why; nothing while all run.",
    )
    service = models.CharField(
        max_length=7,
        choices=Service.choices,
        default=Service.BOT,
        db_default=Service.BOT,
        editable=False,
        help_text="What its service is, by the release that runs.",
    )
    inspected_at = models.DateTimeField(null=True, blank=True, editable=False)
    provisioned_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("environment__order", "order", "name")
        constraints = (
            models.UniqueConstraint(
                fields=["host", "port", "user", "jump"],
                condition=~models.Q(state="retired"),
                name="one_server_per_account",
                violation_error_message="Another server has this address, port and account.",
            ),
        )

    def __str__(self) -> str:
        return self.name

    @property
    def machine(self) -> tuple[str, int, str, str, str]:
        """Address, way and host keys: where one of them is another, what was found was found elsewhere."""
        return self.host, self.port, self.jump, self.host_key, self.jump_host_key

    def forget_findings(self) -> None:
        """Empty what looks at the machine have found, until somebody looks again. The caller saves it.

        What a deployment put into the facts stays: it is of the record, as the release is.
        """
        self.drift, self.readiness, self.inspected_at = {}, {}, None
        self.facts = {name: self.facts[name] for name in DEPLOYED_FACTS if name in self.facts}

    @property
    def stopped_units(self) -> list[str]:
        """Units that somebody stopped and nobody has started since."""
        return list((self.stopped or {}).get("units", ()))

    @property
    def bot_stopped(self) -> bool:
        """Whether what somebody stopped is the bot itself, and not something beside it."""
        return bool((self.stopped or {}).get("bot"))

    @property
    def stopped_words(self) -> str:
        """Who stopped what and why, as a sentence; empty while nothing is stopped."""
        if not self.stopped:
            return ""
        return f"{' and '.join(self.stopped_units)} stopped by {self.stopped['by']}: {self.stopped['reason']}"

    @property
    def open_drift(self) -> list[str]:
        """How the host differs from this record, in sentences, but for what somebody has accepted."""
        differences = self.drift.get("differences", [])
        accepted = self.accepted(differences)
        return [each for each in differences if each not in accepted]

    def accepted(self, differences: Iterable[str]) -> list[str]:
        """Which of these somebody has accepted."""
        said = set(self.drift.get("accepted", ()))
        return [each for each in differences if {each, _once(each)} & said]

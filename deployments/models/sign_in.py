"""How people sign in beside their password. Passkeys are among their signing keys (`SigningKey`): one list for both."""

from django.conf import settings
from django.db import models

from deployments.models.encryption import EncryptedTextField


class AuthenticatorApp(models.Model):
    """A person's app that shows a code every half minute (TOTP); it is asked for once a code of it was given."""

    person = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="authenticator_app", primary_key=True
    )
    secret = EncryptedTextField(editable=False)
    added_at = models.DateTimeField(auto_now_add=True)
    confirmed_at = models.DateTimeField(null=True, blank=True)
    last_step = models.PositiveBigIntegerField(
        default=0, help_text="The half minute of the last code: each is taken once."
    )

    def __str__(self) -> str:
        return f"authenticator app of {self.person}"


class RecoveryCode(models.Model):
    """A code that stands in for a second factor, once; stored as a hash."""

    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="recovery_codes")
    digest = models.CharField(max_length=64, unique=True, editable=False, help_text="sha256 of the code.")
    used_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"recovery code of {self.person}"


class Invitation(models.Model):
    """A link of one use by which somebody chooses a password, for a new account or one that was recovered."""

    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="invitations")
    digest = models.CharField(max_length=64, unique=True, editable=False, help_text="sha256 of what the link ends in.")
    made_by = models.CharField(max_length=150)
    made_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True, help_text="A newer one was made, or the account went.")

    def __str__(self) -> str:
        return f"invitation of {self.person}"


class SingleSignOn(models.Model):
    """Somebody's account at the issuer that the portal is set up for; it signs them in."""

    person = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="single_sign_on", primary_key=True
    )
    issuer = models.CharField(max_length=500)
    subject = models.CharField(max_length=255, help_text="What the issuer calls them for ever; names and mail change.")
    shown = models.CharField(max_length=255, blank=True, help_text="What the issuer called them when it was linked.")
    linked_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["issuer", "subject"], name="one_person_for_a_subject"),)

    def __str__(self) -> str:
        return f"{self.shown or self.subject} at {self.issuer}"

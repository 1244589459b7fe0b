"""By what a process shows that it has the keys of this portal's history."""

from django.db import models


class PortalKeys(models.Model):
    """One row: fingerprints of the key that signs, and of every key that stored secrets may be encrypted with.

    A fingerprint is scrypt of a key: nobody gets from it to the key, not even to one that a person made up.
    """

    signing = models.CharField(max_length=32)
    encryption = models.JSONField(default=list)

    class Meta:
        verbose_name_plural = "portal keys"

    def __str__(self) -> str:
        return f"one key that signs, {len(self.encryption)} that encrypt"

"""What was asked with an `Idempotency-Key`, and what came of it."""

from django.db import models


class IdempotencyKey(models.Model):
    """One key of one token, kept for a day: every machine of the portal has to know it."""

    key = models.CharField(max_length=64, primary_key=True, help_text="SHA-256 of token and key.")
    request = models.CharField(max_length=64, help_text="SHA-256 of what was asked.")
    began_at = models.DateTimeField(db_index=True)
    made = models.BigIntegerField(null=True, help_text="The number of the row that came of it; empty until it has.")

    def __str__(self) -> str:
        return f"{self.key[:12]}: {'not done yet' if self.made is None else self.made}"

"""How often strangers tried their luck, counted for all machines of the portal together."""

from django.db import models


class RequestCount(models.Model):
    """Requests of one kind in one minute; a row is for one kind, and begins anew with each minute."""

    key = models.CharField(max_length=32, primary_key=True, help_text="A digest of what is counted.")
    minute = models.BigIntegerField(db_index=True, help_text="Of the database's clock, since 1970.")
    count = models.PositiveBigIntegerField()

    def __str__(self) -> str:
        return f"{self.key[:8]}: {self.count}"

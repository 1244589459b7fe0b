"""What environments run: one application is what one deploy.toml describes."""

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models

name_validator = RegexValidator(r"^[a-z][a-z0-9-]{0,30}\Z", "Use lower-case letters, digits and hyphens.")


class Application(models.Model):
    """A project that this portal deploys; environments and releases carry its name."""

    name = models.CharField(
        max_length=31, unique=True, validators=[name_validator], help_text="The name in deploy.toml."
    )
    people = models.ManyToManyField(
        settings.AUTH_USER_MODEL,
        blank=True,
        related_name="applications",
        help_text="Their roles hold in the applications that name them, and nowhere else; others' hold in all.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("created_at", "name")

    def __str__(self) -> str:
        return self.name

"""What processes of a portal of their own are given."""

import os


def without_settings() -> dict[str, str]:
    """This process's environment without what sets a portal up."""
    return {name: text for name, text in os.environ.items() if not name.startswith(("PORTAL_", "DATABASE_", "DJANGO_"))}

"""System checks: what would make the control plane lie is found at start-up."""

from collections.abc import Sequence
from typing import Any

from cryptography.fernet import Fernet
from django.conf import settings
from django.core import checks
from django.db import DatabaseError, connections

from deployments.models import audit_triggers


def encryption_keys(**_: Any) -> list[checks.CheckMessage]:
    """deployments.E001: every encryption key is a Fernet key."""
    try:
        for key in settings.ENCRYPTION_KEYS:
            Fernet(key)
    except ValueError:
        return [
            checks.Error(
                "PORTAL_ENCRYPTION_KEYS holds something that is no Fernet key.",
                hint="Use 32 random bytes in URL-safe base64; several keys are separated by commas, the newest first.",
                id="deployments.E001",
            )
        ]
    return []


def triggers(databases: Sequence[str] | None = None, **_: Any) -> list[checks.CheckMessage]:
    """deployments.W001: the audit table has its triggers (looked at by `check --database default` and migrate).

    A warning, because an error would stop the very `migrate` that puts them back.
    """
    found: list[checks.CheckMessage] = []
    for using in databases or ():
        try:
            if audit_triggers.TABLE not in connections[using].introspection.table_names():
                continue
            absent = audit_triggers.missing(using)
        except DatabaseError:
            continue  # an unreachable database is reported by Django itself
        if absent:
            found.append(
                checks.Warning(
                    f"The audit trail can be rewritten: triggers are missing or altered ({', '.join(absent)}).",
                    hint="Run `manage.py migrate`, which puts them back, and `manage.py audit verify`.",
                    id="deployments.W001",
                )
            )
    return found


def register() -> None:
    """Register the checks; called once by the app configuration."""
    checks.register(encryption_keys)
    checks.register(triggers, checks.Tags.database)

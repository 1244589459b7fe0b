"""The control room: Django's admin in django-unfold's look. Pages present and ask; services decide."""

from deployments.admin import (
    audit,
    deployments,
    environments,
    notifications,
    operations,
    people,
    policies,
    queue_and_lockouts,
    releases,
    servers,
    signing_keys,
    sources,
    tokens,
    workers,
    workflows,
)

__all__ = [
    "audit",
    "deployments",
    "environments",
    "notifications",
    "operations",
    "people",
    "policies",
    "queue_and_lockouts",
    "releases",
    "servers",
    "signing_keys",
    "sources",
    "tokens",
    "workers",
    "workflows",
]

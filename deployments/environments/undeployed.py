"""Settings that were changed and have not reached the servers: they travel with the next deployment."""

from typing import Any

from deployments.lifecycle import Kind, Status
from deployments.models import AuditEvent, Deployment, Environment, Release

_PREFIX = "configuration."


def undeployed_settings(environment: Environment, live: Release | None) -> list[str]:
    """What differs from the request by which `live` came there: `dice.json.sides`. Two queries.

    A value that was changed and changed back differs in nothing.
    """
    if live is None:
        return []
    rows = Deployment.objects.filter(environment=environment, release=live, status=Status.SUCCEEDED)
    sealed = rows.filter(kind=Kind.DEPLOYMENT).order_by("-finished_at", "-id").values_list("requested_at").first()
    if sealed is None:
        return []
    events = AuditEvent.objects.filter(name="environment.configured", subject=f"environment:{environment}")
    first: dict[str, Any] = {}
    last: dict[str, Any] = {}
    for data in events.filter(at__gt=sealed[0]).order_by("sequence").values_list("data", flat=True):
        for name, (old, new) in data.get("changes", {}).items():
            if name.startswith(_PREFIX):
                first.setdefault(name, old)
                last[name] = new
    return sorted(name.removeprefix(_PREFIX) for name in first if first[name] != last[name])

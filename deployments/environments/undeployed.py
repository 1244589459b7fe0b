"""Settings that were changed and have not reached the servers: they travel with the next deployment."""

from copy import deepcopy
from typing import Any

from deployments.audit import trail
from deployments.lifecycle import Kind, Status
from deployments.models import AuditEvent, Deployment, Environment, Release

SEARCHED = 100
"""The newest events of the environment: what is older is not looked at, so that the page costs the same for ever."""
_PREFIX = "configuration."


def undeployed_settings(environment: Environment, live: Release | None) -> list[str]:
    """What differs from the request by which `live` came there: `dice.json.sides`. Two queries.

    What it was then is what it is now with every change since undone, the last one first.
    """
    if live is None:
        return []
    rows = Deployment.objects.filter(environment=environment, release=live, status=Status.SUCCEEDED)
    sealed = rows.filter(kind=Kind.DEPLOYMENT).order_by("-finished_at", "-id").values_list("requested_at").first()
    if sealed is None:
        return []
    events = AuditEvent.objects.filter(subject=f"environment:{environment}").order_by("-sequence")
    then = deepcopy(environment.configuration)
    for name, at, data in events.values_list("name", "at", "data")[:SEARCHED]:
        if at <= sealed[0]:
            break
        for place, (old, _) in data.get("changes", {}).items() if name == "environment.configured" else ():
            if place.startswith(_PREFIX):
                _put(then, place.removeprefix(_PREFIX), old)
    return list(trail.changes(then, environment.configuration))


def _put(table: dict[str, Any], path: str, value: Any) -> None:
    """`value` at `path`, whose keys may have dots themselves; None takes the key away."""
    inner = next((key for key, each in table.items() if isinstance(each, dict) and path.startswith(f"{key}.")), None)
    if inner is not None and path not in table:
        _put(table[inner], path.removeprefix(f"{inner}."), value)
    elif value is None:
        table.pop(path, None)
    else:
        table[path] = value

"""Whether an application's servers have what a rollback would take, as the last look at each found it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from deployments.core.texts import plural
from deployments.models import Server

LOOKED_AGE = timedelta(days=1)
"""Workers look at every server each hour; what nobody looked at for a day is not known any more."""


@dataclass(frozen=True)
class WayBack:
    """`lost` where a server has not what its rollback needs, `missing` where nobody knows, or there is nothing yet."""

    sentence: str
    measure: str = ""
    lost: bool = False
    missing: str = ""
    since: datetime | None = None


NOWHERE = WayBack("No server runs it.", "manage.py deploy test", missing="a deployment")


def of_applications(now: datetime, applications: Iterable[str]) -> dict[str, WayBack]:
    """What is known of all servers of each of these together, the worst of it; else `NOWHERE`. One query."""
    theirs = Server.objects.filter(environment__application__in=applications)
    rows = (
        theirs.filter(state=Server.State.PROVISIONED, current_release__isnull=False)
        .order_by("environment__order", "order", "name")
        .values_list("environment__application", "name", "environment__name", "readiness", "inspected_at")
    )
    found: dict[str, list[WayBack]] = {}
    for application, *row in rows:
        found.setdefault(application, []).append(_of_server(*row, now=now))
    return {application: _worst(ways) for application, ways in found.items()}


def _worst(found: Sequence[WayBack]) -> WayBack:
    worst = sorted(found, key=lambda way: (not way.lost, not way.missing))
    if worst[0].lost or worst[0].missing:
        return worst[0]
    return WayBack(f"What a rollback needs lies whole on {plural(len(found), 'server')}.")


def _of_server(name: str, environment: str, found: dict[str, object], at: datetime | None, *, now: datetime) -> WayBack:
    look = f"manage.py drift {environment}"
    if at is None or "ready" not in found:
        return WayBack(f"Nobody has looked on {name} yet.", look, missing=f"a look at what lies on {name}")
    if found.get("target") is None:
        sentence = f"{name}: {found.get('sentence', '')}"
        return WayBack(sentence, f"manage.py deploy {environment}", missing=f"an earlier release on {name}")
    if not found["ready"]:
        return WayBack(f"{name}: {found.get('sentence', '')}", look, lost=True)
    if now - at > LOOKED_AGE:
        since = at + LOOKED_AGE
        return WayBack(f"Last looked for on {name} on {at:%Y-%m-%d}.", look, missing=f"a look at {name}", since=since)
    return WayBack("")

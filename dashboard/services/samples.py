"""Adding one heartbeat to the samples of every resolution, and letting old samples go."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection

from dashboard.intervals import KEPT, RESOLUTIONS, beginning
from dashboard.models import Sample
from deployments.models import Server

_ADDED = (
    "beats",
    "connected_seconds",
    "observed_seconds",
    "users_sum",
    "requests",
    "errors",
    "response_sum",
    "response_beats",
    "starts",
)
_HIGHEST = ("users_max", "response_max")
_COLUMNS = (*_ADDED, *_HIGHEST)


@dataclass(frozen=True)
class Increment:
    """What one heartbeat adds."""

    connected_seconds: float
    users: int
    requests: int
    errors: int
    response_ms: float | None
    started: bool
    observed_seconds: float = 0.0
    beats: int = 1

    def values(self) -> tuple[float, ...]:
        """In the order of the columns."""
        response = self.response_ms or 0.0
        return (
            self.beats,
            self.connected_seconds,
            self.observed_seconds,
            self.users,
            self.requests,
            self.errors,
            response,
            int(self.response_ms is not None),
            int(self.started),
            self.users,
            response,
        )


def add(server: Server, at: datetime, increment: Increment) -> None:
    """Add to the stretches around `at`, all resolutions in one statement that two processes may run at once."""
    rows: list[float | str | None] = []
    for resolution in RESOLUTIONS:
        start = connection.ops.adapt_datetimefield_value(beginning(at, resolution))
        rows.extend((server.pk, resolution, start, *increment.values()))
    with connection.cursor() as cursor:
        cursor.execute(_statement(), rows)


def prune(now: datetime, *, dry_run: bool = False) -> int:
    """Delete samples beyond their retention; returns how many. Goes server by server, to use the one index."""
    gone = 0
    for server in Server.objects.values_list("pk", flat=True):
        for resolution, seconds in KEPT.items():
            old = Sample.objects.filter(
                server_id=server, resolution=resolution, at__lt=now - timedelta(seconds=seconds)
            )
            gone += old.count() if dry_run else old._raw_delete(old.db)  # no relation points at samples
    return gone


def _statement() -> str:
    table = Sample._meta.db_table
    columns = ", ".join(("server_id", "resolution", "at", *_COLUMNS))
    row = "(" + ", ".join(["%s"] * (3 + len(_COLUMNS))) + ")"
    sums = [f"{name} = {table}.{name} + excluded.{name}" for name in _ADDED]
    tops = [
        f"{name} = CASE WHEN excluded.{name} > {table}.{name} THEN excluded.{name} ELSE {table}.{name} END"
        for name in _HIGHEST
    ]
    return (  # names are constants of this module
        f"INSERT INTO {table} ({columns}) VALUES {', '.join([row] * len(RESOLUTIONS))} "  # noqa: S608
        f"ON CONFLICT (server_id, resolution, at) DO UPDATE SET {', '.join(sums + tops)}"
    )

"""What happens in a day, and when; what a compressed day compresses."""

from dataclasses import dataclass

DAY_HOURS = 24.0
SHIPPED_BAKE_SECONDS = 300.0
LATEST = 23.0
"""Hour of a day after which nothing is begun any more, so that all of it is over at its end."""


@dataclass(frozen=True)
class Happening:
    """At this hour of the day, this, to this environment ("" for all)."""

    hour: float
    what: str
    where: str = ""

    def __str__(self) -> str:
        return f"{self.what} {self.where}".strip()


DAY = (
    Happening(0.5, "cut"),
    Happening(2.0, "cytube-restart"),
    Happening(3.0, "flood", "production"),
    Happening(4.0, "deploy-next", "test"),
    Happening(5.0, "deploy-next", "production"),
    Happening(7.5, "cable", "production"),
    Happening(8.2, "raid", "production"),
    Happening(9.0, "kill-bot", "production"),
    Happening(10.0, "playlist-churn", "test"),
    Happening(11.0, "cut"),
    Happening(12.0, "portal-update"),
    Happening(13.5, "outage", "test"),
    Happening(15.0, "rollback", "production"),
    Happening(16.0, "cytube-restart-long"),
    Happening(17.5, "deploy-without-workers", "production"),
    Happening(19.5, "power-cut", "test"),
    Happening(21.0, "rollback", "test"),
    Happening(22.0, "cut"),
)


def bake_seconds(speed: float) -> int:
    """How long a deployment is watched: shorter than shipped where the next happening would fall into it."""
    return int(min(SHIPPED_BAKE_SECONDS, 2 * 3600.0 / speed))


def schedule(hours: float, speed: float) -> list[tuple[float, Happening]]:
    """Seconds from the start, and what is due then; every further day has the same. In order of time."""
    found = []
    for day in range(int(-(-hours // DAY_HOURS))):
        for happening in DAY:
            at = day * DAY_HOURS + happening.hour
            if at <= hours * LATEST / DAY_HOURS:
                found.append((at * 3600.0 / speed, happening))
    return found


def scaled(speed: float) -> list[tuple[str, str]]:
    """What is compressed, and how; what is not. For the report."""
    return [
        ("hours of the day, when something happens", f"compressed {speed:g} times"),
        (
            "questions of moderators, lines and comings of the crowd",
            f"{speed:g} times as dense, a second apart at most",
        ),
        ("readings of the validations", f"every {60 / speed:g} s instead of every minute"),
        ("how long a deployment is watched after it (the bake)", f"{bake_seconds(speed):g} s; shipped: 300 s"),
        ("Prometheus", "asks every 5 s instead of every 15 s; everything else as shipped"),
        (
            "all that hangs on a clock: verification, deadlines, leases, reconnect delays, flood limits,"
            " pings, heartbeats, the time until an alert fires, playback",
            "real time",
        ),
        (
            "an absence, an outage, a deployment",
            f"lasts as long as it lasts, and so weighs {speed:g} times as much in the day"
            if speed > 1
            else "real time",
        ),
        (
            "slow growth of memory, of the disk, of the database",
            "shown for this stretch of wall time only" if speed > 1 else "real time",
        ),
    ]

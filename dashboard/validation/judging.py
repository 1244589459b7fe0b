"""The limits of a window, each passed, failed or not measured, and whether it can still be passed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from dashboard.intervals import DAY, PROMISED_UPTIME, spoken
from dashboard.readiness.limits import CONNECTED_SECONDS, DEPLOYMENT_SECONDS, ERROR_RATE, ROLLBACK_SECONDS
from dashboard.readiness.rows import Verdict, judged
from dashboard.validation.figures import Figures, slope
from deployments.lifecycle import Kind, Status
from deployments.models import Deployment

CONNECTED_PART = CONNECTED_SECONDS / DAY
RESPONSE_SECONDS, LAG_SECONDS = 2.5, 0.25
GROWTH_PER_DAY, GROWTH_AT_START = 20e6, 5e6
"""Bytes. A process that has just begun fills its caches once, however short the window is."""


@dataclass(frozen=True)
class Limit:
    """One limit and how it stands; `lost` once no rest of the window could pass it.

    `observed` are the seconds that the bot was looked at; 0 where it is not about a bot.
    """

    key: str
    title: str
    verdict: Verdict
    sentence: str
    lost: bool = False
    observed: float = 0.0


def limits(bots: dict[str, Figures], deployments: Sequence[Deployment], window: float) -> list[Limit]:
    """All limits of a window of so many seconds, those of a bot once per bot."""
    rows = [
        replace(limit, observed=found.observed)
        for name, found in bots.items()
        for limit in _of_bot(name, found, window)
    ]
    return [*rows, *_of_deployments(deployments)]


def _of_bot(name: str, found: Figures, window: float) -> Iterator[Limit]:
    yield _time(f"uptime:{name}", f"{name} is up for more than 99 %", found.up, found.down, window, PROMISED_UPTIME)
    title = f"{name} is in its room for more than 23 of 24 parts"
    yield _time(f"connected:{name}", title, found.connected, found.absent, window, CONNECTED_PART)
    requests, errors = found.counts["requests"], found.counts["errors"]
    verdict = judged(not errors or errors < ERROR_RATE * requests, "requests" if not requests and not errors else "")
    yield Limit(f"errors:{name}", f"{name} fails in less than 1 %", verdict, f"{errors} errors in {requests} requests.")
    yield _below(
        f"response:{name}", f"95 of 100 answers of CyTube to {name}", found.response_within(0.95), RESPONSE_SECONDS
    )
    yield _below(f"lag:{name}", f"the loop lag of {name}, 99 of 100 times", found.lag_within(0.99), LAG_SECONDS)
    yield _memory(name, found, window)


def _time(key: str, title: str, good: float, bad: float, window: float, part: float) -> Limit:
    lost = bad > (1 - part) * window
    verdict = Verdict.FAIL if lost else judged(True, "" if good > part * window else "time")
    sentence = f"For {spoken(good)} of {spoken(window)} for certain; {spoken(max(0.0, bad))} not."
    return Limit(key, title, verdict, sentence, lost)


def _below(key: str, title: str, value: float | None, limit: float) -> Limit:
    title = f"{title[0].upper()}{title[1:]}: less than {limit:g} s"
    if value is None:
        return Limit(key, title, Verdict.UNMEASURED, "Nothing was timed.")
    return Limit(key, title, judged(value < limit), f"{value:g} s.")


def _memory(name: str, found: Figures, window: float) -> Limit:
    title, key = f"{name} does not grow by more than 20 MB a day", f"memory:{name}"
    grows = slope(found.memory)
    if grows is None:
        return Limit(key, title, Verdict.UNMEASURED, "Memory was read fewer than three times.")
    allowed = GROWTH_AT_START + GROWTH_PER_DAY * window / DAY
    verdict = judged(
        grows.low * window <= allowed, "certainty" if grows.low * window <= allowed < grows.high * window else ""
    )
    day = [value * DAY / 1e6 for value in (grows.value, grows.low, grows.high)]
    return Limit(key, title, verdict, f"{day[0]:+.1f} MB a day ({day[1]:+.1f} to {day[2]:+.1f}).")


def _of_deployments(rows: Sequence[Deployment]) -> Iterator[Limit]:
    for kind, limit in ((Kind.DEPLOYMENT, DEPLOYMENT_SECONDS), (Kind.ROLLBACK, ROLLBACK_SECONDS)):
        took = [row.seconds or 0.0 for row in rows if row.kind == kind and row.status == Status.SUCCEEDED]
        if took:
            slow = max(took) >= limit
            title, sentence = (
                f"A {kind} takes less than {limit:g} s",
                f"The slowest of {len(took)} took {max(took):.1f} s.",
            )
            yield Limit(f"{kind}-time", title, judged(not slow), sentence, slow)
    good = [row for row in rows if row.status == Status.SUCCEEDED]
    if good:
        missing = sum(row.verified_at is None for row in good)
        sentence = f"{len(good) - missing} of {len(good)} were verified."
        yield Limit("verified", "Every success was verified", judged(not missing), sentence, bool(missing))

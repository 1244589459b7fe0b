"""The limits of a window, each passed, failed or not measured, and whether it can still be passed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dashboard.intervals import DAY, PROMISED_ERROR_RATE, PROMISED_UPTIME, WHOLE
from dashboard.readiness.limits import CONNECTED_SECONDS, COUNTERS_NEED, DEPLOYMENT_SECONDS, ROLLBACK_SECONDS
from dashboard.readiness.rows import Verdict, judged
from dashboard.validation.figures import Figures, slope
from deployments.core.texts import spoken
from deployments.lifecycle import Kind, Status
from deployments.models import Deployment

CONNECTED_PART, COUNTED_PART = CONNECTED_SECONDS / DAY, COUNTERS_NEED / DAY
RESPONSE_SECONDS, LAG_SECONDS = 2.5, 0.25
GROWTH_PER_DAY, GROWTH_AT_START = 20e6, 5e6
"""Bytes. A process that has just begun fills its caches once, however short the window is."""


@dataclass(frozen=True)
class Limit:
    """One limit and how it stands; `lost` once no rest of the window could pass it.

    `observed` are the seconds about which its figure tells; 0 where it is not about a bot.
    """

    key: str
    title: str
    verdict: Verdict
    sentence: str
    lost: bool = False
    observed: float = 0.0


def limits(bots: dict[str, Figures], deployments: Sequence[Deployment], window: float) -> list[Limit]:
    """All limits of a window of so many seconds, those of a bot once per bot."""
    rows = [limit for name, found in bots.items() for limit in _of_bot(name, found, window)]
    return [*rows, *_of_deployments(deployments)]


def _of_bot(name: str, found: Figures, window: float) -> Iterator[Limit]:
    up = Spent(found.up, found.observed - found.up, found.observed, window)
    yield _time(f"uptime:{name}", f"{name} is up for more than 99 %", up, PROMISED_UPTIME)
    title = f"{name} is in its room for more than 23 of 24 parts"
    inside = Spent(found.connected, found.observed - found.connected - found.unclear, found.observed, window)
    yield _time(f"connected:{name}", title, inside, CONNECTED_PART)
    yield _errors(name, found, window)
    response = Timed(found.response_within(0.95), found.counted, COUNTED_PART * window)
    yield _below(f"response:{name}", f"95 of 100 answers of CyTube to {name}", response, RESPONSE_SECONDS)
    lag = Timed(found.lag_within(0.99), found.lag_read, WHOLE * window)
    yield _below(f"lag:{name}", f"the loop lag of {name}, 99 of 100 times", lag, LAG_SECONDS)
    yield _memory(name, found, window)


@dataclass(frozen=True)
class Timed:
    """A figure in seconds, for how many seconds of the window it tells, and for how many it has to."""

    value: float | None
    read: float
    needed: float


@dataclass(frozen=True)
class Spent:
    """Seconds of a window: good ones, bad ones, and how many were observed; of the rest nobody knows."""

    good: float
    bad: float
    observed: float
    window: float


def _time(key: str, title: str, spent: Spent, part: float) -> Limit:
    lost = spent.bad > (1 - part) * spent.window
    verdict = Verdict.FAIL if lost else judged(True, "" if spent.good > part * spent.window else "time")
    unknown = spent.window - spent.good - spent.bad
    more = f"; of {spoken(unknown)} nobody knows" if unknown >= 1 else ""
    good = f"For {spoken(spent.good)} of {spoken(spent.window)} for certain"
    return Limit(key, title, verdict, f"{good}; {spoken(max(0.0, spent.bad))} not{more}.", lost, spent.observed)


def _errors(name: str, found: Figures, window: float) -> Limit:
    requests, errors = found.counts["requests"], found.counts["errors"]
    good = not errors or errors < PROMISED_ERROR_RATE * requests
    short = _short(found.counted, COUNTED_PART * window)
    verdict = judged(good, (short or "" if requests else "a request") if good else "")
    sentence = f"{errors} errors in {requests} requests{short}."
    return Limit(f"errors:{name}", f"{name} fails in less than 1 %", verdict, sentence, observed=found.counted)


def _below(key: str, title: str, timed: Timed, limit: float) -> Limit:
    title = f"{title[0].upper()}{title[1:]}: less than {limit:g} s"
    if timed.value is None:
        return Limit(key, title, Verdict.UNMEASURED, "Nothing was timed.", observed=timed.read)
    good, short = timed.value < limit, _short(timed.read, timed.needed)
    return Limit(key, title, judged(good, short if good else ""), f"{timed.value:g} s{short}.", observed=timed.read)


def _short(read: float, needed: float) -> str:
    """What a sentence adds where a figure tells of less time than it has to; "" where it tells of enough."""
    return f", which tells of {spoken(read)} where {spoken(needed)} are needed" if read < needed else ""


def _memory(name: str, found: Figures, window: float) -> Limit:
    title, key, read = f"{name} does not grow by more than 20 MB a day", f"memory:{name}", found.memory_read
    grows = slope(found.memory)
    if grows is None:
        return Limit(key, title, Verdict.UNMEASURED, "Memory was read fewer than three times.", observed=read)
    short, whole = _short(read, WHOLE * window), max(window, DAY)
    good = grows.low * window <= _allowed(window)
    unsure = good and grows.high * whole > _allowed(whole)  # over a day it may be too much: growth, or only a start
    day = [value * DAY / 1e6 for value in (grows.value, grows.low, grows.high)]
    rule = "; 20 MB a day are allowed, and 5 MB at first" + (
        ", which so short a window cannot tell apart" if unsure else ""
    )
    grew = f"{grows.value * window / 1e6:+.1f} MB, {day[0]:+.1f} MB a day ({day[1]:+.1f} to {day[2]:+.1f})"
    missing = (short or ("certainty" if unsure else "")) if good else ""
    return Limit(key, title, judged(good, missing), f"{grew}{rule}{short}.", observed=read)


def _allowed(seconds: float) -> float:
    return GROWTH_AT_START + GROWTH_PER_DAY * seconds / DAY


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

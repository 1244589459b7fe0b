"""The limits that users set: deployment < 10 min, rollback < 5 min, uptime > 99 %, errors < 1 % of operations,
connected > 23 h of 24, verification 100 %; and ours: a health answer within 2 s, where HighResponseTime begins.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from dashboard.charts.bars import percent
from dashboard.intervals import DAY, HOUR, PROMISED_ERROR_RATE, PROMISED_RESPONSE_MS, PROMISED_UPTIME
from dashboard.readiness.deployment_records import RECORDS, Took
from dashboard.readiness.observed_window import Record
from dashboard.readiness.rows import Row, Verdict, judged
from dashboard.readiness.validated import Known, validated
from dashboard.selectors import bots
from dashboard.selectors.bots import Bot, Day
from deployments.core.texts import spoken
from deployments.lifecycle import Kind

DEPLOYMENT_SECONDS, ROLLBACK_SECONDS = 600.0, 300.0
CONNECTED_SECONDS = 23.0 * HOUR
WEEK = 7 * DAY
COUNTERS_NEED = DAY / 2
"""Counters go on while nobody listens, so that half a day of listening tells of a day; uptimes need it all."""


@dataclass(frozen=True)
class Seen:
    """What was heard of bots and measured of their environments, by number; read once for all applications."""

    record: Record
    days: Mapping[int, Day]
    weeks: Mapping[int, Day]
    validations: Mapping[int, Known]

    @classmethod
    def of(cls, everyone: Sequence[Bot], record: Record) -> "Seen":
        """Four queries."""
        now = record.now
        environments = dict.fromkeys(bot.server.environment for bot in everyone)
        weeks = bots.stretches(everyone, now, WEEK, HOUR)
        return cls(record, bots.last_days(everyone, now), weeks, Known.of_all(environments, now))


def limits(took: Mapping[str, Took], everyone: Sequence[Bot], seen: Seen) -> list[Row]:
    """Every limit of one application, whose records are given; those of a bot once per bot."""
    return [
        _within(Kind.DEPLOYMENT, "A deployment takes less than 10 min", took, DEPLOYMENT_SECONDS, seen.record),
        _within(Kind.ROLLBACK, "A rollback takes less than 5 min", took, ROLLBACK_SECONDS, seen.record),
        _verified(took, seen.record),
        *_of_bots(everyone, seen),
        *validated(everyone, seen.validations, seen.record.now),
    ]


def _of_bots(everyone: Sequence[Bot], seen: Seen) -> Iterator[Row]:
    """What each bot promises about its day and its week."""
    now = seen.record.now
    for bot in everyone:
        day, week = seen.days[bot.server.pk], seen.weeks[bot.server.pk]
        yield _time(CONNECTED, bot, day, CONNECTED_SECONDS, now)
        yield _time(UPTIME, bot, week, PROMISED_UPTIME * WEEK, now)
        if bot.state is None or not bot.state.probed:
            yield _errors(bot, day, now)
        yield _response(bot, day, now)


def _within(kind: Kind, title: str, took: Mapping[str, Took], limit: float, record: Record) -> Row:
    done = took.get(kind, Took())
    count, slowest = done.count, done.slowest
    measure = "manage.py drill rollback test" if kind == Kind.ROLLBACK else "manage.py deploy test"
    missing, sentence = "", f"The slowest of {count} in the last 90 days took {spoken(slowest)}."
    if not count:
        missing, sentence = f"a {kind} that succeeded", f"No {kind} has succeeded in the last 90 days."
    verdict, evidence = judged(slowest < limit, missing), f"/deployments/?kind={kind}&status=succeeded"
    return Row(f"{kind}-time", title, verdict, sentence, measure, evidence, missing=missing, **record.span(RECORDS))


def _verified(took: Mapping[str, Took], record: Record) -> Row:
    total, unverified = sum(one.count for one in took.values()), sum(one.unverified for one in took.values())
    sentence = f"{total - unverified} of {total} successes in the last 90 days were verified on their servers."
    missing = "" if total else "a deployment that succeeded"
    verdict = judged(not unverified, missing)
    title, measure, evidence = "Every success was verified", "manage.py deploy test", "/deployments/?status=succeeded"
    return Row("verified", title, verdict, sentence, measure, evidence, missing=missing, **record.span(RECORDS))


@dataclass(frozen=True)
class Promise:
    """What a bot promises about a stretch of time up to now."""

    key: str
    words: str
    window: int

    def row(self, bot: Bot, seen: Day, verdict: Verdict, sentence: str, now: datetime, missing: str = "") -> Row:
        """The promise of `bot`, as the facts have it; nobody knows of the window up to `now` where some is missing."""
        return Row(
            f"{self.key}:{bot.name}",
            f"{bot.name} {self.words if bot.has_room else self.words.replace('is in its room', 'runs')}",
            verdict,
            sentence,
            f"manage.py validate start {bot.server.environment} --hours 24",
            f"/bots/{bot.name}/",
            float(self.window),
            min(float(self.window), seen.observed_seconds),
            missing,
            now - timedelta(seconds=self.window) if missing and bot.state else None,
        )


CONNECTED = Promise("connected", "is in its room for more than 23 h of 24", DAY)
UPTIME = Promise("uptime", "is up for more than 99 % of a week", WEEK)
ERRORS = Promise("errors", "fails in less than 1 % of its operations", DAY)
RESPONSE = Promise("response", "answers for its health within 2 s", DAY)


def _time(promise: Promise, bot: Bot, seen: Day, limit: float, now: datetime) -> Row:
    """A promise about time in the room: kept once so much is proven, broken once so much absence is.

    Between the two nobody knows yet: what was not observed is neither.
    """
    absent = seen.observed_seconds - seen.connected_seconds
    kept, broken = seen.connected_seconds > limit, absent >= promise.window - limit
    verdict = Verdict.PASS if kept else Verdict.FAIL if broken else Verdict.UNMEASURED
    sentence = f"{bot.place.capitalize()} for {spoken(seen.connected_seconds)}, absent for {spoken(max(0.0, absent))}"
    if seen.connected is not None:
        sentence += f": {percent(seen.connected)} of what was observed"
    missing = f"{spoken(limit - seen.connected_seconds)} more {bot.place}" if verdict is Verdict.UNMEASURED else ""
    return promise.row(bot, seen, verdict, f"{sentence}.", now, missing)


def _errors(bot: Bot, day: Day, now: datetime) -> Row:
    good = not day.errors or day.errors < PROMISED_ERROR_RATE * day.requests
    # too many errors are too many, however short the time
    missing = "" if not good else "a request" if not day.requests else _listening(day)
    return ERRORS.row(bot, day, judged(good, missing), f"{day.errors} errors in {day.requests} requests.", now, missing)


def _response(bot: Bot, day: Day, now: datetime) -> Row:
    if day.response_ms is None:
        sentence = "No answer was timed in the last 24 h."
        return RESPONSE.row(bot, day, Verdict.UNMEASURED, sentence, now, "an answer that was timed")
    good = day.response_max < PROMISED_RESPONSE_MS
    missing = _listening(day) if good else ""
    sentence = f"{day.response_ms:.1f} ms on average, {day.response_max:.1f} ms at most."
    return RESPONSE.row(bot, day, judged(good, missing), sentence, now, missing)


def _listening(day: Day) -> str:
    """What of half a day of listening is missing; empty when nothing is."""
    short = COUNTERS_NEED - day.observed_seconds
    return f"{spoken(short)} more of listening" if short > 0 else ""

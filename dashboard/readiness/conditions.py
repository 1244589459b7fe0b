"""The ten things that must be true of a running system. Each reads facts of its own: one that ends turns one."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from django.conf import settings

from alerting import alert_expiry, channels, dead_mans_switch
from alerting.models import AlertReceipt
from alerting.receipts import PORTAL
from dashboard.intervals import DAY
from dashboard.models import Condition
from dashboard.readiness import rollback_targets
from dashboard.readiness.deployment_records import RECORDS, Took
from dashboard.readiness.limits import ROLLBACK_SECONDS
from dashboard.readiness.observed_window import Record
from dashboard.readiness.rows import Row, Verdict, judged
from dashboard.selectors.bots import Bot, Day
from dashboard.services import proxy
from deployments.audit import verification
from deployments.core import beats, queueing
from deployments.core.texts import spoken
from deployments.drills import records as drill_records
from deployments.lifecycle import Kind
from deployments.models import AuditEvent
from deployments.notifications import messages
from engine import http_client
from engine.errors import NotFound

PROOF_AGE = timedelta(days=30)
"""A drill, a delivery: what was proven longer ago is not known any more."""
AUDIT_AGE = timedelta(days=7)
MOST_COUNTED = 1000
"""Deliveries of alerts that are counted: that there was one is what matters."""
_FIELDS = {"status", "connected", "channel", "uptime", "version", "user_count", "requests", "errors"}


def running(number: int, where: str, here: Sequence[Bot]) -> Row:
    """1 and 2: the bots of this kind of environment are deployed, and say that they are in their room."""
    what = "A bot" if all(bot.has_room for bot in here) else "A service"
    title, key, evidence = f"{what} is deployed and running on the {where} server", f"{number}", "/"
    if not here:
        sentence = f"No server of {where} has the role bot."
        measure = f"manage.py enroll NAME --environment {where} --host HOST"
        return Row(key, title, Verdict.UNMEASURED, sentence, measure, evidence, missing="a server")
    words = ", ".join(f"{bot.name}: {bot.word.lower()}" + (f" ({bot.release})" if bot.release else "") for bot in here)
    unheard = [bot for bot in here if bot.state is None or bot.condition == Condition.STALE]
    bad = [bot for bot in here if bot not in unheard and bot.condition != Condition.CONNECTED]
    undeployed = [bot for bot in here if not bot.server.current_release]
    measure = f"manage.py {'deploy' if undeployed else 'verify'} {here[0].server.environment}"
    missing = "" if bad else f"a deployment to {undeployed[0].name}" if undeployed else _word_of(unheard)
    since = min((bot.state.heard_at for bot in unheard if bot.state), default=None)
    return Row(key, title, judged(not bad, missing), f"{words}.", measure, evidence, missing=missing, since=since)


def _word_of(silent: Sequence[Bot]) -> str:
    return f"a heartbeat of {', '.join(bot.name for bot in silent)}" if silent else ""


def health(production: Sequence[Bot]) -> Row:
    """3: the proxy answers with the eight fields, from the bot itself."""
    title, measure = "/api/health returns valid data", f"curl -fsS {settings.PORTAL_URL}/api/health"
    unknown = partial(Row, "3", title, Verdict.UNMEASURED)
    if not production:
        return unknown("No bot is enrolled in production.", measure, "/api/health", missing="a bot")
    name = production[0].name
    measure += f"/{name}"
    try:
        entry = proxy.answer(name)
    except NotFound as error:
        return unknown(error.message, measure, "/api/health", missing=f"the health port of {name}")
    document = json.loads(entry.body)
    valid = set(document) == _FIELDS
    sentence = (
        f"{name} answers {entry.status}, {document.get('status')}." if valid else "The eight fields are not there."
    )
    return Row("3", title, judged(valid and entry.status == 200), sentence, measure, f"/api/health/{name}")


@dataclass(frozen=True)
class Series:
    """The servers of whose bots Prometheus has a series; None where it did not say. `sentence` says why it has none."""

    servers: frozenset[str] | None
    sentence: str = ""


def collected(everyone: Sequence[Bot], known: Series) -> Row:
    """4: Prometheus has a series of every bot."""
    good, sentence = _is_collected(everyone, known)
    missing = "" if good is not None else "an answer of Prometheus" if everyone else "a bot"
    title = "Prometheus collects real metrics"
    measure = "manage.py enroll NAME --environment E --host H --role monitoring"
    if settings.PROMETHEUS_URL:
        measure = f"curl -fsS '{settings.PROMETHEUS_URL}/api/v1/query?query=bot_connected'"
    verdict = judged(bool(good), missing)
    return Row("4", title, verdict, sentence, measure, "/prometheus/targets", missing=missing)


def series() -> Series:
    """What Prometheus says, asked once for all applications."""
    if not settings.PROMETHEUS_URL:
        return Series(None, "Prometheus is not configured: PROMETHEUS_URL is empty.")
    try:
        url = f"{settings.PROMETHEUS_URL}/api/v1/query"
        answer = http_client.ask("GET", url, timeout=3.0, query={"query": "bot_connected"})
        return Series(frozenset(row["metric"].get("server") for row in answer.json()["data"]["result"]))
    except http_client.Unanswered as error:
        return Series(None, f"Prometheus at {settings.PROMETHEUS_URL} does not answer ({error}).")
    except (ValueError, LookupError, TypeError, AttributeError):
        words = f"What answers at {settings.PROMETHEUS_URL} ({answer.status_code}) does not speak as Prometheus."
        return Series(frozenset(), words)


def _is_collected(everyone: Sequence[Bot], known: Series) -> tuple[bool | None, str]:
    if known.sentence:
        return (None if known.servers is None else False), known.sentence
    missing = [bot.name for bot in everyone if bot.name not in (known.servers or ())]
    if missing or not everyone:
        return (False if everyone else None), f"Not collected from: {', '.join(missing) or 'any bot'}."
    return True, f"Collected from {', '.join(bot.name for bot in everyone)}."


def shown(everyone: Sequence[Bot]) -> Row:
    """5: what bots say of themselves is what the record says was deployed."""
    what = "bot" if all(bot.has_room for bot in everyone) else "service"
    title, measure, evidence = f"The dashboard shows the real {what}", "manage.py verify test", "/"
    heard, silent = [bot for bot in everyone if bot.state], [bot for bot in everyone if not bot.state]
    if everyone:
        measure = f"manage.py verify {(silent or heard)[0].server.environment}"
    if silent or not heard:
        sentence = f"Never heard from: {', '.join(bot.name for bot in silent) or 'any bot'}."
        missing = _word_of(silent) or "a bot"
        return Row("5", title, Verdict.UNMEASURED, sentence, measure, evidence, missing=missing)
    others = [
        f"{bot.name} says {bot.state.release or 'no release'}, the record {_recorded(bot) or 'none'}"
        for bot in heard
        if bot.state and bot.state.release != _recorded(bot)
    ]
    sentence = "; ".join(others) or f"{', '.join(bot.name for bot in heard)}: the release it says is the one on record"
    return Row("5", title, judged(not others), f"{sentence}.", measure, evidence)


def _recorded(bot: Bot) -> str:
    return bot.server.current_release.identifier if bot.server.current_release else ""


def alerts(record: Record) -> Row:
    """6: alerts fired, ended and arrived by every channel lately; the switch is heard, nothing is left lying."""
    now = record.now
    since = now - PROOF_AGE
    told = {
        status: AlertReceipt.objects.filter(channel=PORTAL, status=status, received_at__gte=since)
        .exclude(alert__name=dead_mans_switch.SWITCH)
        .order_by()
        .values("pk")[:MOST_COUNTED]
        .count()
        for status in ("firing", "resolved")
    }
    watched, ways, late = dead_mans_switch.state(now), channels.channels(), messages.undelivered()
    failing = watched is dead_mans_switch.SwitchState.SILENT or late or any(one.failing_since for one in ways)
    proven = all(one.proven_at and one.proven_at >= since for one in ways)
    known = all(told.values()) and proven and watched is dead_mans_switch.SwitchState.HEARD
    fired, resolved = (f"{'at least ' * (count == MOST_COUNTED)}{count}" for count in told.values())
    words = f"{fired} fired and {resolved} resolved in 30 days; dead man's switch: {watched.value}; "
    words += ", ".join(_proof(one, now) for one in ways)
    if late:
        words += f"; {late} notification{'s' * (late > 1)} of the portal not delivered"
    if unended := alert_expiry.unended(now).count():
        words += f"; {unended} said to fire, and whether they still do nobody can ask without ALERTMANAGER_URL"
    missing = "" if failing or known else "an alert that fired, ended and arrived by every channel within 30 days"
    title, measure = "Alerts fire and are delivered", "manage.py drill alerts test"
    verdict, proofs = judged(not failing, missing), [one.proven_at for one in ways if one.proven_at]
    row = partial(Row, "6", title, verdict, f"{words}.", measure, "/alerts/", missing=missing)
    return row(since=min(proofs) + PROOF_AGE if proofs and not proven else None, **record.span(PROOF_AGE))


def _proof(channel: channels.Channel, now: datetime) -> str:
    if channel.failing_since:
        return f"{channel.label} FAILS"
    if channel.proven_at is None:
        return f"{channel.label} never proven"
    age = now - channel.proven_at
    return f"{channel.label} proven {spoken(age.total_seconds())} ago" + (", too long" if age > PROOF_AGE else "")


@dataclass(frozen=True)
class Rehearsal:
    """The last drill of a rollback and how long it took, and why no worker would go back now: for all applications."""

    drill: drill_records.Drill
    seconds: float
    stuck: str


def rehearsal(now: datetime) -> Rehearsal:
    """Read once. Three queries."""
    drill = next(drill for drill in drill_records.latest() if drill.key == "drill.rollback")
    event = AuditEvent.objects.filter(name="drill.rollback").order_by("-sequence").first()
    return Rehearsal(drill, event.data.get("seconds", {}).get("back", 0.0) if event else 0.0, _nobody_goes_back(now))


def rehearsed(way: rollback_targets.WayBack, last: Rehearsal, record: Record) -> Row:
    """7: going back was tried within thirty days, took less than five minutes, and every server could go back."""
    title, measure = "A rollback was rehearsed and timed, and is possible", "manage.py drill rollback test"
    evidence = "/admin/deployments/auditevent/?name=drill.rollback"
    drill, seconds, stuck = last.drill, last.seconds, last.stuck
    row = partial(Row, "7", title, evidence=evidence, **record.span(PROOF_AGE))
    if drill.at is None:
        sentence = "No rollback drill was held yet."
        return row(verdict=Verdict.UNMEASURED, sentence=sentence, measure=measure, missing="a drill")
    good = drill.passed and seconds < ROLLBACK_SECONDS and not way.lost and not stuck
    words = f"{'Passed' if drill.passed else 'Failed'} on {drill.at:%Y-%m-%d}; going back took {seconds:.1f} s"
    missing, since = "", None
    if good and record.now - drill.at > PROOF_AGE:
        words += f"; that is longer than {PROOF_AGE.days} days ago"
        missing, since = "a drill", drill.at + PROOF_AGE
    elif good and way.missing:
        missing, since, measure = way.missing, way.since, way.measure
    return row(
        verdict=judged(good, missing),
        sentence=" ".join(filter(None, (f"{words}.", way.sentence, stuck))),
        measure=measure,
        missing=missing,
        since=since,
    )


def _nobody_goes_back(now: datetime) -> str:
    """Why no worker would carry a rollback out, where clusters are known; empty when one would."""
    rescue = [cluster for cluster in beats.clusters(now) if cluster.name == queueing.RESCUE]
    if not all(cluster.silent for cluster in rescue):
        return ""
    words = (f"{cluster.machine} silent for {spoken(cluster.silent_seconds)}" for cluster in rescue)
    return f"No worker takes rollbacks: {', '.join(words)}." if rescue else ""


def traffic(production: Sequence[Bot], seen: Mapping[int, Day], now: datetime) -> Row:
    """8: production handled requests within a day."""
    days = [seen[bot.server.pk] for bot in production]
    handled = sum(day.requests for day in days)
    observed = min((day.observed_seconds for day in days), default=0.0)
    missing = "" if handled or observed >= DAY / 2 else "half a day of listening to a bot of production"
    sentence = f"Production handled {handled} requests in the last 24 hours."
    title, evidence = "The bot handles real traffic", f"/bots/{production[0].name}/" if production else "/"
    since = now - timedelta(seconds=DAY) if missing and observed else None
    row = partial(Row, "8", title, judged(handled > 0, missing), sentence, "!help in its room", evidence)
    return row(window=float(DAY), observed=min(float(DAY), observed), missing=missing, since=since)


def measured(took: Mapping[str, Took], record: Record) -> Row:
    """9: there are deployments and rollbacks of this application on record that ended, well or not."""
    counts = {kind: took.get(kind, Took()).ended for kind in (Kind.DEPLOYMENT, Kind.ROLLBACK)}
    sentence = f"{counts[Kind.DEPLOYMENT]} deployments and {counts[Kind.ROLLBACK]} rollbacks in 90 days."
    missing = " and ".join(f"a {kind}" for kind, count in counts.items() if not count)
    title, measure = "Measured findings are on record", "manage.py drill rollback test"
    verdict = judged(True, missing)
    return Row("9", title, verdict, sentence, measure, "/deployments/", missing=missing, **record.span(RECORDS))


def trusted(record: Record) -> Row:
    """10: the audit trail was whole when it was last verified, which is no longer ago than a week.

    The limits, each a row of its own, are the rest of the reason.
    """
    title, measure = "There is reason to trust the record", "manage.py audit verify"
    row = partial(Row, "10", title, measure=measure, evidence="/admin/deployments/auditevent/verify/")
    last = verification.last()
    if last is None:
        sentence = "The audit trail was not verified yet."
        return row(verdict=Verdict.UNMEASURED, sentence=sentence, missing="a verification", **record.span(AUDIT_AGE))
    age = record.now - last.at
    words = "whole" if last.whole else f"not whole ({last.problems} problems)"
    sentence = f"The audit trail was {words} {spoken(age.total_seconds())} ago, up to event {last.sequence}."
    missing = "a verification" if last.whole and age > AUDIT_AGE else ""
    since = last.at + AUDIT_AGE if missing else None
    verdict = judged(last.whole, missing)
    return row(verdict=verdict, sentence=sentence, missing=missing, since=since, **record.span(AUDIT_AGE))

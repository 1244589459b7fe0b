"""Starting a validation, reading every minute, and ending it: everything it knows is in the database."""

import hashlib
import logging
from dataclasses import asdict
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from alerting.models import Alert
from dashboard.models import Reading, Validation
from dashboard.readiness.rows import Verdict
from dashboard.validation import readings, report
from dashboard.validation.figures import Figures, figures
from dashboard.validation.judging import Limit, limits
from deployments.access.policy import require
from deployments.access.verbs import Verb
from deployments.audit import trail
from deployments.core import queueing
from deployments.core.actors import Actor, in_words, system_actor
from deployments.core.texts import spoken, whole_number
from deployments.models import Deployment, Environment, Server
from engine.errors import Conflict, InvalidRequest, NotFound

logger = logging.getLogger(__name__)
SHORTEST_HOURS, LONGEST_HOURS = 1 / 60, 24.0 * 14
SENSIBLE_HOURS = 1.0
"""A hundredth of it is about what the first reading takes to come, and in its 61 readings memory that wobbles by a
megabyte is told from memory that grows by 20 MB a day; in ten minutes not even 0.1 MB is."""
TOO_SHORT = (
    "Shorter than an hour, a window hardly tells: a hundredth of it is all that may go unobserved, and memory that "
    "wobbles cannot be told from memory that grows. An hour is the shortest that makes sense."
)


def start(*, actor: Actor, environment: Environment, hours: float, now: datetime | None = None) -> Validation:
    """Begin a window of so many hours now; a worker reads at once, for what lies before the first reading is not known.

    Raises NotAllowed, InvalidRequest, Conflict when one is running.
    """
    require(actor, Verb.VERIFY, environment)
    if not SHORTEST_HOURS <= hours <= LONGEST_HOURS:
        raise InvalidRequest(
            f"A validation takes from a minute up to {LONGEST_HOURS:g} hours.", hint="24 hours tell of a day."
        )
    if not servers(environment):
        raise InvalidRequest(
            f"{environment} has no server with the role bot.",
            hint=f"Run `manage.py enroll NAME --environment {environment} --host …`.",
            reason="no_server",
        )
    now = now or timezone.now()
    with transaction.atomic():
        if Validation.objects.select_for_update().filter(environment=environment, state="running").exists():
            raise Conflict(
                f"{environment} is being validated.", hint="Wait for it, or stop it: `manage.py validate stop`."
            )
        row = Validation.objects.create(
            environment=environment, started_by=str(actor), started_at=now, until=now + timedelta(hours=hours)
        )
        _record(actor, "validation.started", row, {"hours": hours})
        queueing.enqueue_validation()
    return row


def warning(row: Validation) -> str:
    """What has to be known of a window in which most limits cannot be judged; "" of one that is long enough."""
    return TOO_SHORT if row.seconds < SENSIBLE_HOURS * 3600 else ""


def stop(*, actor: Actor, validation: Validation, now: datetime | None = None) -> Validation:
    """End it now: what was not measured by then is not measured. Raises NotAllowed, Conflict when it has ended."""
    require(actor, Verb.VERIFY, validation.environment)
    return _end(actor, validation, now or timezone.now(), f"Stopped by {in_words(str(actor))}.")


def numbered(text: str) -> Validation:
    """The validation of that number, the latest for "". Raises NotFound."""
    rows = Validation.objects.select_related("environment")
    row = rows.filter(pk=whole_number(text) or 0).first() if text else rows.first()
    if row is None:
        raise NotFound("There is no such validation.", hint="Start one: `manage.py validate start E`.")
    return row


def startable() -> list[Environment]:
    """Environments with a bot to read that are not being validated. Two queries."""
    bots = [
        server.environment_id
        for server in Server.objects.exclude(state=Server.State.RETIRED).only("environment_id", "roles").order_by()
        if "bot" in server.roles
    ]
    busy = Validation.objects.filter(state="running").order_by().values("environment")
    return list(Environment.objects.filter(pk__in=bots, retired_at=None).exclude(pk__in=busy))


def servers(environment: Environment) -> list[Server]:
    """Whose bots are read."""
    rows = Server.objects.filter(environment=environment).exclude(state=Server.State.RETIRED).order_by("order", "name")
    return [server for server in rows if "bot" in server.roles]


def tick(now: datetime | None = None) -> int:
    """Read every bot of every running validation once, and end those that are over or lost; returns how many run.

    One that cannot be read or ended is logged, and tried again the next time: it stops no other.
    """
    now = now or timezone.now()
    running = list(Validation.objects.filter(state="running").select_related("environment"))
    for row in running:
        try:
            _read(row, now)
        except Exception:
            logger.exception("validation %s could not be read", row.pk)
    return len(running)


def _read(row: Validation, now: datetime) -> None:
    Reading.objects.bulk_create(
        Reading(validation=row, server=server.name, at=now, values=readings.read(server))
        for server in servers(row.environment)
    )
    lost = [limit for limit in measured(row, now)[1] if limit.lost]
    if lost:
        _end(system_actor("schedule"), row, now, f"Ended early: no rest of the window can pass {lost[0].title!r}.")
    elif now >= row.until:
        _end(system_actor("schedule"), row, now, "")


def measured(row: Validation, now: datetime) -> tuple[dict[str, Figures], list[Limit], list[Deployment]]:
    """Figures per bot and limits as they stand at `now`, all of the window and of nothing after it."""
    end = _end_of(row, row.ended_at or now)
    points: dict[str, list[tuple[datetime, dict[str, object]]]] = {}
    for server, at, values in row.readings.order_by("at", "pk").values_list("server", "at", "values"):
        points.setdefault(server, []).append((at, values))
    bots = {server: figures(found, row.started_at, end) for server, found in sorted(points.items())}
    deployments = list(
        Deployment.objects.filter(
            environment=row.environment, finished_at__gte=row.started_at, finished_at__lte=end
        ).order_by("pk")
    )
    return bots, limits(bots, deployments, row.seconds), deployments


def _end_of(row: Validation, moment: datetime) -> datetime:
    """Of the window, as it is at that moment: workers come up to a minute after it is over."""
    return min(moment, row.until)


def _end(actor: Actor, row: Validation, now: datetime, why: str) -> Validation:
    bots, judged, deployments = measured(row, now)
    with transaction.atomic():
        locked = Validation.objects.select_for_update().select_related("environment").get(pk=row.pk)
        if locked.state != Validation.State.RUNNING:
            raise Conflict(f"Validation {row.pk} has ended.", hint=f"`manage.py validate report {row.pk}` shows it.")
        locked.state, locked.sentence = _outcome(judged, why, warning(locked))
        locked.ended_at = now
        told = report.Report(
            title=f"Validation {row.pk} of {row.environment}: {locked.get_state_display().lower()}",
            sentence=locked.sentence,
            begun=row.started_at,
            ended=_end_of(row, now),
            window=row.seconds,
            limits=judged,
            bots=bots,
            happened=_happened(locked, deployments, _end_of(row, now)),
        )
        locked.limits = [asdict(limit) for limit in judged]
        locked.markdown, locked.html = report.markdown(told), report.html(told)
        locked.digest = hashlib.sha256(locked.markdown.encode()).hexdigest()
        locked.save()
        _record(actor, "validation.ended", locked, {"state": locked.state, "digest": locked.digest})
    return locked


def _outcome(judged: list[Limit], why: str, short: str) -> tuple[Validation.State, str]:
    failed = [one.title for one in judged if one.verdict is Verdict.FAIL]
    missing = [one.title for one in judged if one.verdict is Verdict.UNMEASURED]
    if failed:
        return Validation.State.FAILED, f"{why} Failed: {'; '.join(failed)}."[:500].strip()
    if missing or not judged:
        unmeasured = f"Not measured: {'; '.join(missing) or 'anything'}."
        return Validation.State.INTERRUPTED, " ".join(filter(None, (why, short, unmeasured)))[:500]
    return Validation.State.PASSED, f"{why} Every limit of {len(judged)} was kept.".strip()


def _happened(row: Validation, deployments: list[Deployment], end: datetime) -> list[str]:
    told = [f"{one.get_kind_display()} {one.pk}: {one.status}, {spoken(one.seconds or 0.0)}" for one in deployments]
    alerts = Alert.objects.filter(environment=row.environment, starts_at__gte=row.started_at, starts_at__lte=end)
    return told + [f"Alert {one.name} ({one.severity}) at {one.starts_at:%Y-%m-%d %H:%M:%S}" for one in alerts]


def _record(actor: Actor, name: str, row: Validation, data: dict[str, object]) -> None:
    trail.record(actor=actor, name=name, subject=f"validation:{row.pk}", environment=row.environment, data=data)

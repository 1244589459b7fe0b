"""Windows on synthetic readings with a clock of the test's own: one that passes, one failing on each limit, others."""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import StringIO
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import CommandError, call_command
from django.test import Client
from django_q.models import OrmQ

from botcore.health.document import Snapshot
from botcore.health.metrics import render
from botcore.room.model import Room
from botcore.status import Status
from botcore.telemetry import Telemetry
from dashboard.models import Reading, Validation
from dashboard.readiness.rows import Verdict
from dashboard.validation import readings, running
from dashboard.validation.figures import Figures, figures, slope
from dashboard.validation.judging import Limit, limits
from deployments.access.policy import user_actor
from deployments.core.actors import Actor
from deployments.lifecycle import Kind
from deployments.models import AuditEvent, Environment, Scope, Server
from engine.errors import Conflict, InvalidRequest
from tests.dashboard import records

NOON = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
HOURS = 24
Enrol = Callable[..., Server]
Values = dict[str, Any]
pytestmark = pytest.mark.django_db


@pytest.fixture
def actor() -> Actor:
    return user_actor(User.objects.create_superuser("olga"))


def good(minute: int) -> Values:
    """What a bot that is well says in this minute."""
    return {
        "connected": 1.0,
        "uptime": 1000.0 + 60 * minute,
        "lag": 0.001,
        "reconnects": 0.0,
        "requests": 2.0 * minute,
        "errors": 0.0,
        "rss": 50e6 + (minute % 7) * 1e4,
        "events": {"chatMsg": 10.0 * minute},
        "commands": {"help": 2.0 * minute},
        "response": {"0.01": 3.0 * minute, "2.5": 3.0 * minute, "+Inf": 3.0 * minute},
    }


class Day:
    """A validation whose clock the test turns: each minute has one reading."""

    def __init__(self, actor: Actor, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        self.server, self.patch = server, monkeypatch
        self.row = running.start(actor=actor, environment=server.environment, hours=HOURS, now=NOON)

    def go(self, say: Callable[[int], Values], *, first: int = 0, last: int = HOURS * 60) -> Validation:
        """Read minute by minute; all but the last reading are put there at once, the workers make the last one."""
        Reading.objects.bulk_create(
            Reading(validation=self.row, server=self.server.name, at=NOON + timedelta(minutes=m), values=say(m))
            for m in range(first, last)
        )
        self.patch.setattr(readings, "read", lambda _server: say(last))
        running.tick(NOON + timedelta(minutes=last))
        self.row.refresh_from_db()
        return self.row


@pytest.fixture
def day(actor: Actor, enrol: Enrol, monkeypatch: pytest.MonkeyPatch) -> Day:
    return Day(actor, enrol(), monkeypatch)


def _from(start: int, length: int, **changes: Any) -> Callable[[int], Values]:
    return lambda m: good(m) | changes if start <= m < start + length else good(m)


def _silent(start: int, length: int) -> Callable[[int], Values]:
    return lambda m: {} if start <= m < start + length else good(m)


FAILING: dict[str, Callable[[int], Values]] = {
    "uptime:prod-1": _silent(100, 20),
    "errors:prod-1": lambda m: good(m) | {"errors": float(m // 10)},
    "response:prod-1": lambda m: good(m) | {"response": {"0.01": 0.0, "2.5": 0.0, "5.0": 3.0 * m, "+Inf": 3.0 * m}},
    "lag:prod-1": lambda m: good(m) | {"lag": 0.5},
    "memory:prod-1": lambda m: good(m) | {"rss": 50e6 + 50e6 * m / 1440},
}


def failed(row: Validation) -> list[str]:
    _, limits, _ = running.measured(row, NOON)
    return [limit.key for limit in limits if limit.verdict is Verdict.FAIL]


def test_a_day_in_which_every_limit_is_kept_passes(day: Day) -> None:
    row = day.go(good)
    assert (row.state, failed(row)) == (Validation.State.PASSED, []), row.sentence
    assert "in its room | 1 d for certain, 100 % of what was observed" in row.markdown
    assert "| chatMsg | 14400 |" in row.markdown
    assert row.html.count("<svg") == 3
    assert row.digest == hashlib.sha256(row.markdown.encode()).hexdigest()
    event = AuditEvent.objects.get(name="validation.ended")
    assert event.data == {"state": "passed", "digest": row.digest}


def _without(name: str) -> Callable[[int], Values]:
    """It tells this for one hour, and not for the rest of the day."""
    return lambda m: good(m) if m < 60 else {key: value for key, value in good(m).items() if key != name}


@pytest.mark.parametrize(("name", "key"), [("lag", "lag:prod-1"), ("rss", "memory:prod-1")])
def test_what_it_told_for_an_hour_says_nothing_about_a_day(day: Day, name: str, key: str) -> None:
    row = day.go(_without(name))
    told = {limit["key"]: (limit["verdict"], limit["observed"]) for limit in row.limits}
    assert told.pop(key) == (Verdict.UNMEASURED, 59 * 60)
    assert {verdict for verdict, _ in told.values()} == {Verdict.PASS}
    assert row.state == Validation.State.INTERRUPTED
    assert "which tells of 59 min where 23 h 45 min are needed" in row.markdown


def test_time_in_which_it_did_not_answer_is_no_time_in_which_it_was_well(day: Day) -> None:
    row = day.go(lambda m: good(m) if m % 2 else {})
    verdicts = {limit["key"]: limit["verdict"] for limit in row.limits}
    assert verdicts["uptime:prod-1"] == Verdict.FAIL
    assert verdicts["lag:prod-1"] == verdicts["memory:prod-1"] == Verdict.UNMEASURED


def test_what_is_counted_while_nobody_is_answered_is_counted(day: Day) -> None:
    erring = [good(m) | {"errors": 50.0 if m >= 110 else 0.0} for m in range(HOURS * 60 + 1)]
    row = day.go(lambda m: {} if 100 <= m < 120 else erring[m])
    assert "50 errors in 2880 requests." in row.markdown
    assert "errors:prod-1" in failed(row)


def test_what_a_process_counted_before_another_took_its_place_is_not_known() -> None:
    later = good(601) | {"uptime": 5 * 3600.0, "requests": 7.0}  # older than the one before was, and still another
    found = figures([(NOON, good(0)), (NOON + timedelta(minutes=601), later)])
    assert (found.restarts, found.counts["requests"], found.counted) == (1, 7, 5 * 3600.0)


@pytest.mark.parametrize("key", FAILING)
def test_a_day_fails_by_the_limit_that_was_not_kept(day: Day, key: str) -> None:
    row = day.go(FAILING[key])
    assert row.state == Validation.State.FAILED
    assert failed(row) == [key]


def test_a_bot_that_was_away_for_more_than_an_hour_ends_it_early(day: Day) -> None:
    row = day.go(_from(100, 200, connected=0.0), last=170)
    assert (row.state, failed(row)) == (Validation.State.FAILED, ["connected:prod-1"])
    assert row.sentence.startswith("Ended early: no rest of the window can pass")
    assert row.ended_at == NOON + timedelta(minutes=170)


@pytest.mark.parametrize(
    ("kind", "seconds", "verified", "key"),
    [
        (Kind.DEPLOYMENT, 601, True, "deployment-time"),
        (Kind.ROLLBACK, 301, True, "rollback-time"),
        (Kind.DEPLOYMENT, 4, False, "verified"),
    ],
)
def test_a_deployment_within_it_is_judged_too(day: Day, kind: Kind, seconds: int, verified: bool, key: str) -> None:
    at = NOON + timedelta(minutes=5)
    records.deployment(day.server, kind=kind, at=at, seconds=seconds, verified_at=at if verified else None)
    row = day.go(good, last=30)
    assert (row.state, failed(row)) == (Validation.State.FAILED, [key])


def test_a_portal_that_was_off_for_hours_leaves_what_nobody_measured(day: Day) -> None:
    day.go(good, last=300)
    row = day.go(good, first=700)
    assert row.state == Validation.State.INTERRUPTED
    assert "Not measured: Prod-1" in row.sentence or "Not measured: prod-1" in row.sentence
    assert failed(row) == []


def test_a_portal_that_was_off_for_a_moment_goes_on(day: Day) -> None:
    day.go(good, last=300)
    assert day.row.state == Validation.State.RUNNING
    assert day.go(good, first=305).state == Validation.State.PASSED


def test_a_bot_that_was_restarted_goes_on_and_is_counted(day: Day) -> None:
    row = day.go(lambda m: good(m) if m < 600 else good(m) | {"uptime": 60.0 * (m - 599), "requests": 1.0 * (m - 599)})
    assert row.state == Validation.State.PASSED, row.sentence
    assert "| restarts | 1 |" in row.markdown


def test_one_that_is_stopped_says_what_was_not_measured(day: Day, actor: Actor) -> None:
    day.go(good, last=60)
    row = running.stop(actor=actor, validation=day.row, now=NOON + timedelta(hours=1))
    assert row.state == Validation.State.INTERRUPTED
    assert row.sentence.startswith("Stopped by")
    with pytest.raises(Conflict):
        running.stop(actor=actor, validation=row)


def test_one_environment_has_one_at_a_time(day: Day, actor: Actor) -> None:
    with pytest.raises(Conflict):
        running.start(actor=actor, environment=day.server.environment, hours=1)
    with pytest.raises(InvalidRequest):
        running.start(actor=actor, environment=day.server.environment, hours=0)


@pytest.mark.parametrize("hours", [1e-12, 0.0, -1.0, float("nan"), float("inf"), 1e9])
def test_a_window_that_cannot_be_is_refused_by_one_sentence(hours: float, actor: Actor, enrol: Enrol) -> None:
    environment = enrol().environment
    with pytest.raises(InvalidRequest, match=r"^A validation takes from a minute up to 336 hours\."):
        running.start(actor=actor, environment=environment, hours=hours)
    with pytest.raises(CommandError, match="from a minute up to 336 hours"):
        call_command("validate", "start", "test", hours=hours)
    reader = Client()
    reader.force_login(User.objects.get(username="olga"), backend="django.contrib.auth.backends.ModelBackend")
    answer = reader.post("/validations/start", {"environment": "production", "hours": str(hours)}, follow=True)
    assert "from a minute up to 336 hours" in answer.content.decode()
    assert not Validation.objects.exists()


@pytest.mark.parametrize("number", ["²", "9" * 30, "0", "-1", "last"])
def test_a_number_that_no_validation_has_is_said_to_be_none(number: str, day: Day) -> None:
    with pytest.raises(CommandError, match="There is no such validation"):
        call_command("validate", "report", "--", number)


def test_one_that_cannot_be_read_stops_no_other(
    actor: Actor, enrol: Enrol, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    first = running.start(actor=actor, environment=enrol().environment, hours=24, now=NOON)
    other = enrol("test-1", environment=Environment.objects.get(name="test"))
    second = running.start(actor=actor, environment=other.environment, hours=24, now=NOON)

    def read(server: Server) -> Values:
        if server.name == "prod-1":
            raise RuntimeError("nobody thought of this")
        return good(0)

    monkeypatch.setattr(readings, "read", read)
    assert running.tick(NOON + timedelta(minutes=1)) == 2
    assert (first.readings.count(), second.readings.count()) == (0, 1)
    assert f"validation {first.pk} could not be read" in caplog.text


def test_the_slope_has_an_interval_that_narrows() -> None:
    few = slope([(0, 0.0), (1, 2.0), (2, 1.0)])
    many = slope([(i, float(i + (i % 2))) for i in range(100)])
    assert few
    assert many
    assert many.low < 1 < many.high
    assert many.high - many.low < few.high - few.low
    assert slope([(0, 1.0)]) is None


def test_what_was_counted_before_the_window_is_not_of_it() -> None:
    found = figures([(NOON, good(100)), (NOON + timedelta(minutes=1), good(101))])
    assert (found.counts["requests"], found.observed, found.longest) == (2, 60.0, 60.0)


def test_it_is_started_and_watched_in_the_browser(enrol: Enrol, monkeypatch: pytest.MonkeyPatch) -> None:
    enrol()
    reader = Client()
    reader.force_login(User.objects.create_superuser("root"), backend="django.contrib.auth.backends.ModelBackend")
    assert reader.get("/validations/").status_code == 200
    answer = reader.post("/validations/start", {"environment": "production", "hours": "24"}, follow=True)
    page = answer.content.decode()
    assert "of production: running" in page
    assert answer.headers["Refresh"] == "10"
    running.stop(actor=user_actor(User.objects.get()), validation=Validation.objects.get())
    report = reader.get(f"/validations/{Validation.objects.get().pk}/report.md")
    assert b"# Validation" in report.content
    again = reader.post("/validations/start", {"environment": "production", "hours": "nan"}, follow=True)
    assert "up to 336 hours" in again.content.decode()


@pytest.mark.parametrize("role", ["operator", "viewer"])
def test_one_that_runs_is_stopped_in_the_browser_by_whoever_may(role: str, enrol: Enrol, actor: Actor) -> None:
    row = running.start(actor=actor, environment=enrol().environment, hours=24)
    person = User.objects.create_user("vera", is_staff=True)
    person.groups.set(Group.objects.filter(name=role))
    reader = Client()
    reader.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
    address, listed = f"/validations/{row.pk}/stop", reader.get("/validations/").content.decode()
    offered = [address in page for page in (listed, reader.get(f"/validations/{row.pk}/").content.decode())]
    assert offered == [role == "operator"] * 2
    assert 'name="hours"' not in listed, "it is being validated: nothing else can be started"
    assert reader.get(address).status_code == 405
    said = reader.post(address, follow=True).content.decode()
    row.refresh_from_db()
    assert (row.ended_at is not None) == (role == "operator")
    assert ("Stopped by vera" in said) == (role == "operator")
    again = reader.post(address, follow=True).content.decode()
    assert "ops-" in again
    assert ("/stop" in reader.get("/validations/").content.decode()) is False


def test_a_start_that_is_refused_keeps_what_was_typed(enrol: Enrol) -> None:
    enrol()
    reader = Client()
    reader.force_login(User.objects.create_superuser("root"), backend="django.contrib.auth.backends.ModelBackend")
    answer = reader.post("/validations/start", {"environment": "production", "hours": "400"})
    page = answer.content.decode()
    assert answer.status_code == 422
    assert "up to 336 hours" in page
    assert 'value="400"' in page
    assert not Validation.objects.exists()


@pytest.mark.parametrize("who", ["the shell", "a token that may verify", "a token that may read"])
def test_it_is_started_in_production_by_whoever_may_verify_there(
    who: str, enrol: Enrol, token_for: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = enrol()
    assert server.environment.protected
    olga = User.objects.create_user("olga")
    olga.groups.set(Group.objects.filter(name="operator"))
    if who != "the shell":
        monkeypatch.setenv("PORTAL_TOKEN", token_for(Scope.READ if "read" in who else Scope.DEPLOY, owner=olga))
    if "read" in who:
        with pytest.raises(CommandError):
            call_command("validate", "start", "production")
        assert not Validation.objects.exists()
        return
    call_command("validate", "start", "production", stdout=StringIO())
    assert Validation.objects.get().started_by.startswith("olga" if "token" in who else "shell:")
    call_command("validate", "stop", stdout=StringIO())
    assert AuditEvent.objects.filter(name="validation.ended").count() == 1


def test_strangers_start_and_see_none(anyone: Client, enrol: Enrol) -> None:
    enrol()
    assert anyone.get("/validations/").status_code == 302
    assert anyone.post("/validations/start", {"environment": "production"}).status_code in {302, 403}
    assert not Validation.objects.exists()


def test_what_a_bot_exports_is_what_is_read() -> None:
    """The bot's own exposition, so that a metric renamed there is noticed here."""
    counted = Telemetry()
    counted.requests, counted.sessions = 7, 3
    counted.events["chatMsg"] += 5
    counted.commands["help", "ok"] += 7
    counted.errors["command"] += 1
    counted.answered(0.02)
    now = Snapshot(Status(False, 0.0), Room(), "rosey", "1.0.0", "1.0.0-abc", counted, 0, 0)
    found = readings.parsed(render(now).decode())
    assert {name: found[name] for name in ("connected", "requests", "errors", "reconnects", "events", "commands")} == {
        "connected": 0.0,
        "requests": 7.0,
        "errors": 1.0,
        "reconnects": 2.0,
        "events": {"chatMsg": 5.0},
        "commands": {"help": 7.0},
    }
    assert found["response"]["+Inf"] == 1
    assert found["rss"] > 1e6
    assert found["uptime"] >= 0
    assert "lag" in found


@pytest.mark.parametrize(
    "text",
    ["bot_events_total 1\n", "bot_response_seconds_bucket 1\n", 'bot_response_seconds_bucket{le="x"} 1\n', "x{ 1\n"],
)
def test_a_bot_whose_metrics_are_malformed_is_one_that_does_not_answer(text: str, monkeypatch: Any) -> None:
    answer = SimpleNamespace(body=text.encode())
    monkeypatch.setattr("dashboard.validation.readings.upstream.fetch", lambda *_, **__: answer)
    assert readings.read(Server(host="127.0.0.1", facts={"health": {"port": 9}})) == {}


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-Inf", "1e308"])
def test_a_figure_that_is_none_is_left_out(value: str) -> None:
    assert readings.parsed(f"bot_loop_lag_seconds {value}\n") == {}


def test_a_loop_lag_that_was_never_told_is_not_measured() -> None:
    start = datetime(2026, 11, 30, tzinfo=UTC)
    points = [(start + timedelta(minutes=n), {"connected": 1.0, "uptime": 60.0 * n}) for n in range(1441)]
    rows = {one.key: one for one in limits({"bot": figures(points)}, [], 86400.0)}
    assert rows["lag:bot"].verdict is Verdict.UNMEASURED


def test_one_in_a_hundred_is_not_less_than_one_percent() -> None:
    for errors, verdict in ((1, Verdict.FAIL), (0, Verdict.PASS)):
        found = Figures()
        found.counts.update(requests=100, errors=errors)
        found.counted = 86400.0
        assert {one.key: one for one in limits({"bot": found}, [], 86400.0)}["errors:bot"].verdict is verdict


def test_what_lies_before_the_first_reading_and_after_the_end_was_not_observed(
    day: Day, actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A window of five minutes whose readings come 40 s late, and a bot that was away for a moment before the first."""
    row = day.row
    Validation.objects.update(until=NOON + timedelta(minutes=5))
    for late in range(6):
        at = NOON + timedelta(minutes=late, seconds=40)
        monkeypatch.setattr(readings, "read", lambda _server, late=late: good(late) | {"reconnects": 1.0})
        running.tick(at)
    row.refresh_from_db()
    assert row.ended_at == NOON + timedelta(minutes=5, seconds=40)
    assert "From 2026-05-04 12:00:00 UTC to 2026-05-04 12:05:00 UTC; asked for 5 min." in row.markdown
    assert "prod-1 was observed from 12:00:40 to 12:05:00." in row.markdown
    assert "| observed | 4 min 20 s of 5 min |" in row.markdown
    told = {limit["key"]: (limit["verdict"], limit["sentence"], limit["observed"]) for limit in row.limits}
    for_certain = "For 4 min 20 s of 5 min for certain; 0.0 s not; of 40 s nobody knows."
    assert told["connected:prod-1"] == told["uptime:prod-1"] == (Verdict.UNMEASURED, for_certain, 260.0)


def test_one_that_came_back_between_two_readings_was_not_in_its_room_for_certain(day: Day) -> None:
    row = day.go(lambda m: good(m) | {"reconnects": 1.0 if m >= 600 else 0.0})
    assert "| reconnects | 1 |" in row.markdown
    assert "For 23 h 59 min of 1 d for certain; 0.0 s not; of 1 min nobody knows." in row.markdown
    assert row.state == Validation.State.PASSED
    always = figures([(NOON + timedelta(minutes=m), good(m) | {"reconnects": float(m)}) for m in range(6)])
    assert (always.connected, always.unclear, always.longest) == (0.0, 300.0, 0.0)
    kept = {one.key: one.verdict for one in limits({"bot": always}, [], 300.0)}
    assert kept["connected:bot"] is Verdict.UNMEASURED, "nor was it away for certain"


def test_what_happened_after_the_window_is_not_of_it(day: Day, monkeypatch: pytest.MonkeyPatch) -> None:
    late = NOON + timedelta(hours=HOURS, seconds=30)
    records.deployment(day.server, kind=Kind.DEPLOYMENT, at=late, seconds=601)
    day.go(good, last=HOURS * 60 - 1)
    monkeypatch.setattr(readings, "read", lambda _server: good(HOURS * 60) | {"lag": 9.0, "rss": 9e9})
    running.tick(late + timedelta(seconds=20))
    row = Validation.objects.get()
    assert (row.state, row.sentence) == (Validation.State.PASSED, "Every limit of 6 was kept.")
    assert "| observed | 1 d of 1 d |" in row.markdown


def test_it_is_read_at_once_by_a_worker(actor: Actor, enrol: Enrol) -> None:
    running.start(actor=actor, environment=enrol().environment, hours=1)
    assert [one.task["func"] for one in OrmQ.objects.all()].count("dashboard.tasks.validate") == 1


def _grows(seconds: int, rate: float, noise: float) -> Limit:
    """The limit of memory over a window read every 20 s in which it grows by so many bytes a second."""
    points = [
        (
            NOON + timedelta(seconds=at),
            good(at // 60) | {"uptime": float(at), "rss": 50e6 + rate * at + noise * (n % 3)},
        )
        for n, at in enumerate(range(0, seconds + 1, 20))
    ]
    return {one.key: one for one in limits({"bot": figures(points)}, [], float(seconds))}["memory:bot"]


@pytest.mark.parametrize(
    ("seconds", "rate", "noise", "verdict"),
    [
        (300, 1400.0, 5e4, Verdict.UNMEASURED),  # 0.4 MB in five minutes: a start, or 120 MB a day
        (300, 20000.0, 5e4, Verdict.FAIL),  # 6 MB in five minutes: more than a start
        (3600, 230.0, 1e4, Verdict.PASS),  # 20 MB a day
        (3600, 0.0, 1e4, Verdict.PASS),
    ],
)
def test_growth_that_may_be_a_start_is_neither_good_nor_bad_and_the_rule_is_told(
    seconds: int, rate: float, noise: float, verdict: Verdict
) -> None:
    found = _grows(seconds, rate, noise)
    assert found.verdict is verdict, found.sentence
    assert "20 MB a day are allowed, and 5 MB at first" in found.sentence
    assert ("cannot tell" in found.sentence) == (verdict is Verdict.UNMEASURED)

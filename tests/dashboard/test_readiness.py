"""A system in which everything holds, and what ends one fact at a time: exactly its row turns."""

import json
import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import datetime, timedelta
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import get_commands, load_command_class
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django.utils.html import escape

from alerting import dead_mans_switch
from alerting.models import Alert, AlertChannel, AlertReceipt
from alerting.receipts import PORTAL
from dashboard.intervals import DAY, HOUR, MINUTE, beginning
from dashboard.models import BotState, Sample, Validation
from dashboard.readiness.rows import Row, Verdict
from dashboard.readiness.scorecard import scorecards
from dashboard.services import proxy
from dashboard.validation import judging
from dashboard.validation.figures import figures
from dashboard.views.readiness import PER_PAGE
from deployments.audit import trail, verification
from deployments.audit.trail import record_alone
from deployments.core.actors import system_actor
from deployments.lifecycle import Kind, Status
from deployments.models import (
    AuditEvent,
    ClusterBeat,
    Deployment,
    Environment,
    NotificationChannel,
    NotificationDelivery,
    Release,
    Server,
)
from tests.dashboard import records
from tests.dashboard.conftest import DOCUMENT, StandIn
from tests.dashboard.test_validations import NOON, good

ACTOR = system_actor("tests")
Enrol = Callable[..., Server]
Change = Callable[["World"], None]
Expected = dict[str, Verdict]


class World:
    """Two bots of one application of which everything is true."""

    def __init__(self, enrol: Enrol, bot: StandIn, settings: Any) -> None:
        self.settings = settings
        self.bot = bot
        self.now = timezone.now()
        self.series = ["test-1", "prod-1"]
        Environment.objects.update(application="rosey")
        release = records.release()
        test = Environment.objects.get(name="test")
        self.servers = {
            "test-1": enrol("test-1", environment=test, **_deployed(release, self.now)),
            "prod-1": enrol(port=bot.port, **_deployed(release, self.now)),
        }
        for server in self.servers.values():
            records.beat(server, 5)
            _samples(server, self.now)
            for kind in (Kind.DEPLOYMENT, Kind.ROLLBACK):
                at = self.now - timedelta(hours=2)
                records.deployment(server, at=at, kind=kind, verified_at=at + timedelta(seconds=4))
            Validation.objects.create(
                environment=server.environment,
                state="passed",
                started_by="olga",
                started_at=self.now - timedelta(days=2),
                until=self.now - timedelta(days=1),
                ended_at=self.now - timedelta(days=1),
                limits=_limits(server.name),
            )
        _alerting(self.now)
        for machine in ("ops-1", "ops-2"):
            ClusterBeat.objects.create(machine=machine, cluster="rescue", at=self.now)
        record_alone(actor=ACTOR, name="drill.rollback", subject="test", passed=True, seconds={"back": 3.0})
        verification.verify(actor=ACTOR)

    def rows(self) -> dict[str, Row]:
        (card,) = scorecards(self.now)
        return {row.key: row for row in card.rows}

    def verdicts(self) -> dict[str, Verdict]:
        return {key: row.verdict for key, row in self.rows().items()}


def _deployed(release: Release, now: datetime) -> dict[str, Any]:
    ready = {"ready": True, "target": "0.9.0-abc", "sentence": "0.9.0-abc lies on the server whole.", "seconds": 3.0}
    looked = {"inspected_at": now - timedelta(minutes=20), "state": Server.State.PROVISIONED}
    return {"current_release": release, "readiness": ready, **looked}


@cache
def _limits(name: str) -> list[dict[str, Any]]:
    """What a validation of 24 hours writes down where every limit is kept."""
    points = [(NOON + timedelta(minutes=m), good(m)) for m in range(24 * 60 + 1)]
    return [asdict(limit) for limit in judging.limits({name: figures(points)}, [], float(DAY))]


def _samples(server: Server, now: datetime) -> None:
    Sample.objects.filter(server=server).delete()
    Sample.objects.bulk_create(
        Sample(
            server=server,
            resolution=resolution,
            at=beginning(now, resolution) - timedelta(seconds=back * resolution),
            beats=resolution // 10,
            connected_seconds=resolution,
            observed_seconds=resolution,
            users_sum=0,
            users_max=0,
            requests=5,
            errors=0,
            response_sum=2.0,
            response_beats=1,
            response_max=3.0,
            starts=0,
        )
        for resolution, span in ((10 * MINUTE, DAY), (HOUR, 7 * DAY))
        for back in range(span // resolution)
    )


def _alerting(now: datetime) -> None:
    switch = Alert.objects.create(
        fingerprint="d", name=dead_mans_switch.SWITCH, status="firing", starts_at=now, last_received_at=now
    )
    fired = Alert.objects.create(
        fingerprint="a", name="BotDown", status="resolved", starts_at=now, ends_at=now, last_received_at=now
    )
    for alert, status in ((switch, "firing"), (fired, "firing"), (fired, "resolved")):
        AlertReceipt.objects.create(alert=alert, channel=PORTAL, status=status, received_at=now)
    AlertChannel.objects.create(name="email", messages=2, failures=0, settled_messages=2, settled_at=now, proven_at=now)


@pytest.fixture
def prometheus(settings: Any) -> Iterator[list[str]]:
    """A Prometheus that knows the bots of this list."""
    known = ["test-1", "prod-1"]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            result = [{"metric": {"server": name}, "value": [0, "1"]} for name in known]
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"data": {"result": result}}).encode())

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        settings.PROMETHEUS_URL = f"http://127.0.0.1:{server.server_port}"
        yield known
        server.shutdown()


@pytest.fixture
def world(enrol: Enrol, stand_in: StandIn, prometheus: list[str], settings: Any) -> World:
    made = World(enrol, stand_in, settings)
    made.series = prometheus
    return made


def _samples_of(world: World, name: str = "prod-1", resolution: int = 10 * MINUTE) -> Any:
    return Sample.objects.filter(server=world.servers[name], resolution=resolution)


def _stop(world: World) -> None:
    records.beat(world.servers["prod-1"], goodbye=True)


def _silence(world: World) -> None:
    BotState.objects.filter(server=world.servers["test-1"]).update(heard_at=world.now - timedelta(minutes=10))


def _stale(world: World) -> None:
    BotState.objects.filter(server=world.servers["test-1"]).update(heard_at=world.now - timedelta(seconds=45))


def _other_release(world: World) -> None:
    BotState.objects.filter(server=world.servers["prod-1"]).update(release="0.9.0-other")


def _bad_health(world: World) -> None:
    world.bot.script = world.bot.says(DOCUMENT | {"connected": False, "status": "disconnected"}, "503 Unavailable")
    proxy.cache().forget("prod-1")


def _lost_series(world: World) -> None:
    world.series.remove("test-1")


def _broken_mail(world: World) -> None:
    AlertChannel.objects.update(failing_since=world.now)


def _old_proof(world: World) -> None:
    AlertChannel.objects.update(proven_at=world.now - timedelta(days=31))


def _undelivered(world: World) -> None:
    channel = NotificationChannel.objects.create(name="ops", url="json://127.0.0.1:9/")
    state = NotificationDelivery.State.FAILED
    NotificationDelivery.objects.create(channel=channel, event="approval", title="t", body="b", state=state)


def _quiet_switch(world: World) -> None:
    Alert.objects.filter(name=dead_mans_switch.SWITCH).update(last_received_at=world.now - timedelta(minutes=10))


def _failed_drill(world: World) -> None:
    record_alone(actor=ACTOR, name="drill.rollback", subject="test", passed=False, seconds={"back": 3.0})


def _slow_drill(world: World) -> None:
    record_alone(actor=ACTOR, name="drill.rollback", subject="test", passed=True, seconds={"back": 301.0})


def _silent_workers(machine: str) -> Change:
    def change(world: World) -> None:
        ClusterBeat.objects.filter(machine__startswith=machine).update(at=world.now - timedelta(minutes=12))

    return change


def _tampered(world: World) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trail, "verify", lambda _head=None: [trail.Problem(1, "Event 1 was altered.")])
        verification.verify(actor=ACTOR)


def _way_back(**readiness: Any) -> Change:
    def change(_: World) -> None:
        Server.objects.filter(name="prod-1").update(readiness=readiness)

    return change


def _on_server(name: str, **fields: Any) -> Change:
    def change(world: World) -> None:
        changed = {key: world.now - age if isinstance(age, timedelta) else age for key, age in fields.items()}
        Server.objects.filter(name=name).update(**changed)

    return change


def _no_prometheus(world: World) -> None:
    world.settings.PROMETHEUS_URL = "http://127.0.0.1:9"


def _on_record(kind: Kind, **fields: Any) -> Change:
    def change(world: World) -> None:
        changed = {key: world.now - age if isinstance(age, timedelta) else age for key, age in fields.items()}
        Deployment.objects.filter(kind=kind).update(**changed)

    return change


def _nothing_succeeded(world: World) -> None:
    Deployment.objects.update(status=Status.FAILED)


def _never_heard(world: World) -> None:
    BotState.objects.filter(server=world.servers["test-1"]).delete()


def _judged(key: str, verdict: Verdict) -> Change:
    """The last validation of production said so of this limit."""

    def change(_: World) -> None:
        row = Validation.objects.get(environment__name="production")
        assert key in {limit["key"] for limit in row.limits}
        row.limits = [limit | {"verdict": verdict.value} if limit["key"] == key else limit for limit in row.limits]
        row.state = "failed" if verdict is Verdict.FAIL else "interrupted"
        row.save()

    return change


def _slow(kind: Kind, seconds: float) -> Change:
    def change(world: World) -> None:
        row = Deployment.objects.filter(kind=kind).first()
        assert row
        begun = row.finished_at - timedelta(seconds=seconds)  # type: ignore[operator]  # it has ended
        Deployment.objects.filter(pk=row.pk).update(started_at=begun, requested_at=begun)

    return change


def _unverified(world: World) -> None:
    Deployment.objects.filter(pk=Deployment.objects.order_by("pk")[0].pk).update(verified_at=None)


def _change(resolution: int, number: int, **fields: float) -> Change:
    """The latest `number` samples of production get these values."""

    def change(world: World) -> None:
        keys = list(_samples_of(world, resolution=resolution).order_by("-at").values_list("pk", flat=True)[:number])
        Sample.objects.filter(pk__in=keys).update(**fields)

    return change


def _validation(**fields: Any) -> Change:
    def change(world: World) -> None:
        changed = {name: world.now - age if isinstance(age, timedelta) else age for name, age in fields.items()}
        Validation.objects.filter(environment__name="production").update(**changed)

    return change


UNOBSERVED = {"connected_seconds": 0.0, "observed_seconds": 0.0}
TEN = 10 * MINUTE
FALSIFIED: dict[str, tuple[Change, Expected]] = {
    "the bot is stopped": (_stop, {"2": Verdict.FAIL}),
    "the bot is silent": (_silence, {"1": Verdict.FAIL}),
    "the bot was not heard just now": (_stale, {"1": Verdict.UNMEASURED}),
    "its health answer says no": (_bad_health, {"3": Verdict.FAIL}),
    "a series is gone": (_lost_series, {"4": Verdict.FAIL}),
    "another release answers": (_other_release, {"5": Verdict.FAIL}),
    "the mail server is broken": (_broken_mail, {"6": Verdict.FAIL}),
    "the proof of the mail server is old": (_old_proof, {"6": Verdict.UNMEASURED}),
    "a notification was given up": (_undelivered, {"6": Verdict.FAIL}),
    "monitoring is silent": (_quiet_switch, {"6": Verdict.FAIL}),
    "a drill failed": (_failed_drill, {"7": Verdict.FAIL}),
    "the rollback target is gone": (
        _way_back(ready=False, target="0.9.0-abc", sentence="0.9.0-abc is not on the server."),
        {"7": Verdict.FAIL},
    ),
    "there is nothing earlier": (_way_back(ready=False, target=None), {"7": Verdict.UNMEASURED}),
    "nobody looked for the target": (_way_back(), {"7": Verdict.UNMEASURED}),
    "the look for the target is old": (_on_server("prod-1", inspected_at=timedelta(days=2)), {"7": Verdict.UNMEASURED}),
    "the bot's health port is unknown": (_on_server("prod-1", facts={}), {"3": Verdict.FAIL}),
    "Prometheus does not answer": (_no_prometheus, {"4": Verdict.UNMEASURED}),
    "no rollback has succeeded": (
        _on_record(Kind.ROLLBACK, status=Status.FAILED),
        {"rollback-time": Verdict.UNMEASURED},
    ),
    "no deployment has succeeded": (
        _on_record(Kind.DEPLOYMENT, status=Status.FAILED),
        {"deployment-time": Verdict.UNMEASURED},
    ),
    "no worker takes rollbacks": (_silent_workers("ops"), {"7": Verdict.FAIL}),
    "another machine's workers take rollbacks": (_silent_workers("ops-2"), {}),
    "a drill was slow": (_slow_drill, {"7": Verdict.FAIL}),
    "the trail is not whole": (_tampered, {"10": Verdict.FAIL}),
    "a deployment took long": (_slow(Kind.DEPLOYMENT, 601), {"deployment-time": Verdict.FAIL}),
    "a rollback took long": (_slow(Kind.ROLLBACK, 301), {"rollback-time": Verdict.FAIL}),
    "a success was not verified": (_unverified, {"verified": Verdict.FAIL}),
    "it was away for two hours": (_change(TEN, 12, connected_seconds=0.0), {"connected:prod-1": Verdict.FAIL}),
    "two hours were not observed": (_change(TEN, 12, **UNOBSERVED), {"connected:prod-1": Verdict.UNMEASURED}),
    "it was away in the week": (_change(HOUR, 2, connected_seconds=0.0), {"uptime:prod-1": Verdict.FAIL}),
    "some of the week was not observed": (_change(HOUR, 2, **UNOBSERVED), {"uptime:prod-1": Verdict.UNMEASURED}),
    "it failed too often": (_change(TEN, 1, errors=60), {"errors:prod-1": Verdict.FAIL}),
    "it answered slowly": (_change(TEN, 1, response_max=2500.0), {"response:prod-1": Verdict.FAIL}),
    "its memory grew": (_judged("memory:prod-1", Verdict.FAIL), {"memory:prod-1": Verdict.FAIL}),
    "its memory was not read": (_judged("memory:prod-1", Verdict.UNMEASURED), {"memory:prod-1": Verdict.UNMEASURED}),
    "its loop lagged": (_judged("lag:prod-1", Verdict.FAIL), {"lag:prod-1": Verdict.FAIL}),
    "its lag was not read": (_judged("lag:prod-1", Verdict.UNMEASURED), {"lag:prod-1": Verdict.UNMEASURED}),
    "a validation failed": (_judged("errors:prod-1", Verdict.FAIL), {"validated:production": Verdict.FAIL}),
    "a validation was stopped": (
        _judged("uptime:prod-1", Verdict.UNMEASURED),
        {"validated:production": Verdict.UNMEASURED},
    ),
    "its answers were not timed": (_change(TEN, 144, response_beats=0), {"response:prod-1": Verdict.UNMEASURED}),
}


OLD = timedelta(days=91)


def _unknown(*keys: str) -> Expected:
    return dict.fromkeys(keys, Verdict.UNMEASURED)


VALIDATED = _unknown("validated:production", "memory:prod-1", "lag:prod-1")
SPOKEN_OF_BY_SEVERAL: dict[str, tuple[Change, Expected]] = {
    "half of its day was not observed": (
        _change(TEN, 80, **UNOBSERVED, requests=0),
        _unknown("connected:prod-1", "errors:prod-1", "response:prod-1"),
    ),
    "nobody was there to ask": (
        _change(TEN, 144, **UNOBSERVED, requests=0, response_beats=0),
        _unknown("connected:prod-1", "errors:prod-1", "response:prod-1", "8"),
    ),
    "nobody asked anything of it": (
        _change(TEN, 144, requests=0),
        {"8": Verdict.FAIL, "errors:prod-1": Verdict.UNMEASURED},
    ),
    "a validation is old": (_validation(ended_at=timedelta(days=31)), VALIDATED),
    "a validation was short": (_validation(until=timedelta(hours=47)), VALIDATED),
    "a validation kept no figures": (_validation(limits=[]), VALIDATED),
    "no deployment for ninety days": (_on_record(Kind.DEPLOYMENT, finished_at=OLD), _unknown("9", "deployment-time")),
    "no rollback for ninety days": (_on_record(Kind.ROLLBACK, finished_at=OLD), _unknown("9", "rollback-time")),
    "the bot was never heard": (_never_heard, _unknown("1", "5")),
    "nothing has succeeded": (_nothing_succeeded, _unknown("deployment-time", "rollback-time", "verified")),
}


def test_everything_passes_in_a_world_where_everything_is_true(world: World) -> None:
    assert set(world.verdicts().values()) == {Verdict.PASS}


@pytest.mark.parametrize("name", [*FALSIFIED, *SPOKEN_OF_BY_SEVERAL])
def test_a_fact_that_ends_turns_exactly_the_rows_that_speak_of_it(world: World, name: str) -> None:
    change, expected = FALSIFIED.get(name) or SPOKEN_OF_BY_SEVERAL[name]
    change(world)
    rows = world.rows()
    turned = {key: row.verdict for key, row in rows.items() if row.verdict is not Verdict.PASS}
    assert turned == expected
    for row in rows.values():  # what is not measured says since when, and what is missing
        assert bool(row.unknown) == bool(row.missing) == (row.verdict is Verdict.UNMEASURED), row
        assert not row.unknown or re.match(
            r"(never measured|not measured since \d+ [A-Z][a-z]{2} 20\d\d .* UTC); missing: ", row.unknown
        ), row
        _is_a_command(row.measure)


@pytest.mark.parametrize(("state", "hours"), [("interrupted", 0.1), ("passed", 1.0), ("failed", 1.0)])
def test_a_validation_that_was_short_does_not_take_the_place_of_what_one_has_judged(
    world: World, state: str, hours: float
) -> None:
    _judged("memory:prod-1", Verdict.FAIL)(world)
    judged = Validation.objects.get(environment__name="production")
    limits = [limit | {"verdict": Verdict.PASS.value} for limit in judged.limits]
    if state == "failed":
        limits = [limit | {"verdict": "fail"} if limit["key"] == "lag:prod-1" else limit for limit in limits]
    Validation.objects.create(
        environment=judged.environment,
        state=state,
        started_by="olga",
        started_at=world.now - timedelta(hours=hours),
        until=world.now,
        ended_at=world.now,
        limits=limits,
    )
    turned = {key: row for key, row in world.rows().items() if row.verdict is not Verdict.PASS}
    assert {key: row.verdict for key, row in turned.items()} == dict.fromkeys(
        ["memory:prod-1", "lag:prod-1"] if state == "failed" else ["memory:prod-1"], Verdict.FAIL
    )
    assert f"Validation {judged.pk}," in turned["memory:prod-1"].sentence


def test_a_limit_of_which_nothing_was_observed_says_so(world: World) -> None:
    row = Validation.objects.get(environment__name="production")
    row.limits = [limit | {"observed": 0.0} if limit["key"] == "lag:prod-1" else limit for limit in row.limits]
    row.save()
    assert world.rows()["lag:prod-1"].of == "0.0 s of 1 d observed"


def test_every_row_has_a_fact_that_fails_it_or_ends_it(world: World) -> None:
    """So that a row which nobody falsifies is noticed when it is added."""
    kinds = {key.partition(":")[0] for key in world.verdicts()}
    alone = {key.partition(":")[0] for _, expected in FALSIFIED.values() for key in expected}
    several = {key.partition(":")[0] for _, expected in SPOKEN_OF_BY_SEVERAL.values() for key in expected}
    assert kinds == alone | {"8", "9"}
    assert {"8", "9"} <= several


def test_the_record_is_read_once_for_all_applications(world: World) -> None:
    def asked() -> int:
        with CaptureQueriesContext(connection) as queries:
            scorecards(world.now)
        return sum('FROM "deployments_deployment"' in query["sql"] for query in queries)

    few = asked()
    for number in range(3):
        Environment.objects.create(name=f"place-{number}", order=10 + number, application=f"app-{number}")
    assert len(scorecards(world.now)) == 4
    assert asked() == few > 0


def test_many_applications_are_on_several_pages_and_each_is_on_one(world: World, client: Client) -> None:
    """Judging a hundred of them takes a second."""
    for number in range(PER_PAGE):
        Environment.objects.create(name=f"place-{number}", order=10 + number, application=f"app-{number}")
    client.force_login(User.objects.create_superuser("ann"), backend="django.contrib.auth.backends.ModelBackend")
    pages = [client.get("/readiness/", {"page": number}) for number in (1, 2)]
    titles = [card.title for page in pages for card in page.context["cards"]]
    assert sorted(titles) == sorted(card.title for card in scorecards(world.now))
    assert len(pages[0].context["cards"]) == PER_PAGE
    assert f"Applications 1 to {PER_PAGE} of {PER_PAGE + 1};" in pages[0].content.decode()
    assert pages[1].context["total"] == len(scorecards(world.now, titles[PER_PAGE:])[0].rows)


def test_every_row_has_figure_window_evidence_and_a_command(world: World) -> None:
    for row in world.rows().values():
        assert row.sentence.endswith("."), row
        assert row.of == "as of now" if row.window is None else "observed" in row.of, row
        assert (row.window is None) == (row.key in {"1", "2", "3", "4", "5"}), row
        assert row.evidence.startswith("/"), row
        _is_a_command(row.measure)


def _is_a_command(line: str) -> None:
    """One that the product understands, or that a shell or a chat does."""
    program, *words = shlex.split(line)
    if program != "manage.py":
        assert program in {"curl", "!help"}
        return
    command = load_command_class(get_commands()[words[0]], words[0])
    command.create_parser("manage.py", words[0]).parse_args(words[1:])


@pytest.mark.parametrize(("name", "key", "days"), [("drill.rollback", "7", 31), (verification.EVENT, "10", 8)])
def test_proofs_age(world: World, name: str, key: str, days: int, monkeypatch: pytest.MonkeyPatch) -> None:
    event = AuditEvent.objects.filter(name=name).order_by("-sequence").first()
    assert event
    older = event.at - timedelta(days=days)  # the trail refuses to be rewritten, so it is read as if it were older
    monkeypatch.setattr(AuditEvent, "from_db", _from_db_at(name, older))
    assert {row for row, said in world.verdicts().items() if said is Verdict.UNMEASURED} == {key}


def _from_db_at(name: str, at: datetime) -> Any:
    original = AuditEvent.from_db.__func__  # type: ignore[attr-defined]  # a class method

    def from_db(cls: Any, *args: Any) -> Any:
        row = original(cls, *args)
        if row.name == name:
            row.at = at
        return row

    return classmethod(from_db)


def test_nothing_is_good_because_nobody_looked(enrol: Enrol, settings: Any) -> None:
    settings.PROMETHEUS_URL = ""
    records.beat(enrol())
    (card,) = scorecards(timezone.now())
    assert "pass" not in {row.verdict for row in card.limits}


def test_the_page_needs_no_walk_through_the_trail(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trail, "verify", lambda *_: pytest.fail("the trail was walked in the request"))
    reader = Client()
    reader.force_login(User.objects.create_superuser("root"), backend="django.contrib.auth.backends.ModelBackend")
    page = reader.get("/readiness/").content.decode()
    assert "27 of 27 pass" in page
    assert "all of 1 d observed" in page


def test_the_page_shows_what_fails_first_and_what_passes_last(world: World) -> None:
    reader = Client()
    reader.force_login(User.objects.create_superuser("root"), backend="django.contrib.auth.backends.ModelBackend")
    page = reader.get("/readiness/").content.decode()
    assert "Passing <span" in page
    assert "Failing" not in page
    Deployment.objects.filter(status=Status.SUCCEEDED).update(verified_at=None)
    (card,) = scorecards(timezone.now())
    assert [verdict for verdict, _ in card.groups] == sorted(
        {row.verdict for row in card.rows}, key=[Verdict.FAIL, Verdict.UNMEASURED, Verdict.PASS].index
    )
    assert sorted(row.key for _, rows in card.groups for row in rows) == sorted(row.key for row in card.rows)
    failing = next(row for row in card.rows if row.verdict is Verdict.FAIL)
    page = reader.get("/readiness/").content.decode()
    passing = next(row for row in card.rows if row.verdict is Verdict.PASS)
    assert page.index("Failing <span") < page.index(escape(failing.title)) < page.index("Passing <span")
    assert page.index("Passing <span") < page.index(escape(passing.title))


def page_of(world: World, make_person: Any, role: str = "operator") -> str:
    make_person(role, role)
    client = Client()
    client.force_login(User.objects.get(username=role), backend="django.contrib.auth.backends.ModelBackend")
    answer = client.get("/readiness/")
    assert answer.status_code == 200
    return answer.content.decode()


def test_the_page_has_a_line_for_each_fact_and_bots_beside_each_other(world: World, make_person: Any) -> None:
    page = page_of(world, make_person)
    assert page.count("Is up for more than 99 % of a week") == 1
    assert re.findall(r'<th scope="col"><a href="/bots/([\w-]+)/">', page) == ["prod-1", "test-1"]
    assert "prod-1 is up for more than 99 % of a week" not in page, "it passes: it stands beside the other"
    _change(HOUR, 100, connected_seconds=0)(world)
    page = page_of(world, lambda *_: None)
    assert "prod-1 is up for more than 99 % of a week" in page, "what fails has a line of its own"
    assert "Its ninety days say when it was away." in page


def test_what_the_portal_can_measure_has_a_button_for_whoever_may(world: World, make_person: Any) -> None:
    Validation.objects.all().delete()
    page = page_of(world, make_person)
    assert '<a class="button quiet small" href="/validations/">Validate' in page
    assert ">Validate" not in page_of(world, make_person, "viewer")


def test_environments_without_an_application_are_not_said_to_be_empty(world: World, make_person: Any) -> None:
    Environment.objects.update(application="")
    page = page_of(world, make_person)
    assert "Not bound to an application" in page
    assert "Not deployed yet" not in page

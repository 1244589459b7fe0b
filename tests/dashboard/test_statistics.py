"""How deploying goes, week by week: every figure from rows that a test wrote, with the number it stands on."""

import random
import statistics
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from dashboard.selectors.statistics import WEEKS, Median, Trend, first_week, trends
from deployments.lifecycle import Kind, Status
from deployments.models import Deployment, Environment, Release, Server
from tests.dashboard import records

Enrol = Callable[..., Server]
NOW = datetime(2026, 6, 17, 12, tzinfo=UTC)
"""A Wednesday."""
MONDAY = datetime(2026, 6, 15, tzinfo=UTC)
WEEK = timedelta(days=7)


@pytest.fixture
def member(db: None) -> Client:
    """An operator who is signed in."""
    user = User.objects.create_user("olga", is_staff=True)
    user.groups.add(Group.objects.get(name="operator"))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def server(enrol: Enrol) -> Server:
    """The only server, of an environment that is as old as the window."""
    found = enrol()
    Environment.objects.update(created_at=NOW - timedelta(days=400))
    return found


def deployed(
    server: Server, at: datetime, status: Status = Status.SUCCEEDED, seconds: float = 4, **more: object
) -> Deployment:
    """A deployment that was asked for and began at `at`, verified when it ended."""
    good = {"verified_at": at + timedelta(seconds=seconds)} if status == Status.SUCCEEDED else {}
    return records.deployment(server, status, at=at, seconds=seconds, **(good | more))


def built(version: str, at: datetime) -> Release:
    """A release of that time."""
    made = records.release(version)
    Release.objects.filter(pk=made.pk).update(built_at=at)
    return made


def trend(server: Server, now: datetime = NOW) -> Trend:
    """Of the server's environment."""
    (found,) = trends([Environment.objects.get(pk=server.environment_id)], now)
    return found


def test_the_last_week_is_the_one_under_way_and_all_begin_on_a_monday(server: Server) -> None:
    weeks = trend(server).weeks
    assert [week.begins for week in weeks] == [MONDAY - index * WEEK for index in reversed(range(WEEKS))]
    assert first_week(MONDAY) == first_week(MONDAY + WEEK - timedelta(microseconds=1)) == weeks[0].begins


def test_a_deployment_counts_in_the_week_in_which_it_ended(server: Server) -> None:
    deployed(server, MONDAY - timedelta(seconds=2), seconds=1)
    deployed(server, MONDAY - timedelta(seconds=2), seconds=2)
    deployed(server, first_week(NOW) - timedelta(seconds=5), seconds=4)
    assert [week.figures and week.figures.live for week in trend(server).weeks] == [0] * (WEEKS - 2) + [1, 1]


def test_what_failed_is_counted_of_what_began(server: Server) -> None:
    at = MONDAY - WEEK
    good = deployed(server, at)
    for status in (Status.SUCCEEDED, Status.SUCCEEDED, Status.FAILED, Status.ROLLED_BACK, Status.INTERRUPTED):
        deployed(server, at, status)
    for status in (Status.CANCELLED, Status.REJECTED, Status.EXPIRED, Status.SUPERSEDED):
        deployed(server, at, status, started_at=None)
    deployed(server, MONDAY, kind=Kind.ROLLBACK, rollback_of=good)
    deployed(server, MONDAY, Status.FAILED, kind=Kind.ROLLBACK, rollback_of=good)
    found = trend(server)
    *_, last_week, this_week = found.weeks
    assert last_week.figures is not None
    assert (last_week.figures.ended, last_week.figures.live, last_week.figures.failed) == (6, 3, 4)
    assert last_week.figures.failed_said == "66.7 %, 4 of 6 deployments"
    assert this_week.figures is not None
    assert (this_week.figures.ended, this_week.figures.fail_rate) == (0, None), "a rollback is no deployment"
    assert found.total.failed_said == last_week.figures.failed_said


def test_drills_count_in_nothing(server: Server) -> None:
    good = deployed(server, MONDAY)
    deployed(server, MONDAY, kind=Kind.ROLLBACK, rollback_of=good, drill=True)
    deployed(server, MONDAY, Status.FAILED, drill=True)
    total = trend(server).total
    assert (total.ended, total.failed, total.restore) == (1, 0, None)


def test_lead_time_is_from_the_build_to_the_first_time_it_was_verified_here(server: Server, enrol: Enrol) -> None:
    release = built("1.0.0", MONDAY - timedelta(hours=3))
    elsewhere = enrol("test-1", environment=Environment.objects.get(name="test"))
    deployed(elsewhere, MONDAY - timedelta(hours=2), release=release)
    deployed(server, MONDAY, Status.FAILED, release=release)
    deployed(server, MONDAY, release=release, seconds=60)
    deployed(server, MONDAY + timedelta(days=2), release=release)  # again: nothing new went live
    taken_over = built("0.9.0", MONDAY + timedelta(days=2))  # its record is younger than what it tells of
    deployed(server, MONDAY + timedelta(hours=1), release=taken_over)
    total = trend(server).total
    assert total.lead == Median(3 * 3600 + 60, 1)
    assert total.lead_said == "3 h 1 min, on 1 of 4 deployments"
    assert total.took == Median(4, 3)


def test_a_success_that_nobody_verified_has_no_lead_time(server: Server) -> None:
    built("1.0.0", MONDAY - timedelta(hours=3))
    deployed(server, MONDAY, verified_at=None)
    total = trend(server).total
    assert (total.live, total.lead, total.took) == (1, None, None)
    assert total.lead_said.startswith("not measured")


def test_time_to_restore_is_of_rollbacks_and_of_what_reverted_itself(server: Server) -> None:
    good = deployed(server, MONDAY)
    begun = MONDAY + timedelta(seconds=50)
    deployed(server, MONDAY, kind=Kind.ROLLBACK, rollback_of=good, started_at=begun, seconds=60)
    deployed(server, begun, Status.ROLLED_BACK, requested_at=MONDAY, seconds=20)
    deployed(server, MONDAY, Status.FAILED, kind=Kind.ROLLBACK, rollback_of=good, seconds=900)
    total = trend(server).total
    assert total.restore == Median(40, 2)
    assert total.restore_said == "40 s, on 2 taken back"


@pytest.mark.parametrize("many", [1, 2, 3, 8, 25])
def test_medians_are_those_that_python_finds(server: Server, many: int) -> None:
    chance = random.Random(many)
    spans = [chance.choice([3, 7, 7, 7, chance.randrange(1, 5000)]) for _ in range(many)]
    for week in range(2):
        for seconds in spans:
            deployed(server, MONDAY - week * WEEK, Status.ROLLED_BACK, seconds=seconds + week)
    found = trend(server)
    middle = statistics.median(spans)
    assert [week.figures and week.figures.restore for week in found.weeks[-2:]] == [(middle + 1, many), (middle, many)]
    assert found.total.restore == (statistics.median([*spans, *(one + 1 for one in spans)]), 2 * many)


def test_a_week_before_the_portal_knew_the_environment_is_no_zero(server: Server, member: Client) -> None:
    Environment.objects.update(created_at=timezone.now() - WEEK)
    records.deployment(server)
    found = trend(server, timezone.now())
    assert [week.figures is None for week in found.weeks] == [True] * (WEEKS - 2) + [False, False]
    page = member.get("/statistics/").content.decode()
    assert page.count("not measured: not in the portal yet") == WEEKS - 2
    assert "In the portal since" in page


def test_environments_are_measured_apart_and_the_page_says_what_figures_stand_on(
    server: Server, enrol: Enrol, member: Client
) -> None:
    test = enrol("test-1", environment=Environment.objects.get(name="test"))
    for status in [Status.SUCCEEDED] * 2 + [Status.FAILED]:
        records.deployment(server, status)
    page = member.get("/statistics/").content.decode()
    assert "33.3 %, 1 of 3 deployments" in page
    assert "No deployment has ended here in this time." in page
    records.deployment(test)
    chosen = member.get("/statistics/?environment=test").content.decode()
    assert "1 of 1 deployment went live" in chosen
    assert "of 3 deployments" not in chosen
    assert "There is no environment &lt;b&gt;." in member.get("/statistics/?environment=<b>%00").content.decode()


def test_the_page_is_for_members(db: None, anyone: Client, member: Client) -> None:
    assert anyone.get("/statistics/").status_code == 302
    without_role = Client()
    without_role.force_login(User.objects.create_user("nobody"))
    assert without_role.get("/statistics/").status_code == 403
    assert member.get("/statistics/?page=none").status_code == 200
    assert "/statistics/" in [entry["link"] for entry in member.get("/palette?q=statistics").json()["entries"]]


def test_more_environments_and_deployments_take_no_more_queries(server: Server, enrol: Enrol, member: Client) -> None:
    records.deployment(server)

    def asked() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert member.get("/statistics/").status_code == 200
        return len(captured)

    asked()
    before = asked()
    for number in range(20):
        one = enrol(f"more-{number}", environment=Environment.objects.create(name=f"place-{number}", order=number))
        for status in (Status.SUCCEEDED, Status.FAILED, Status.ROLLED_BACK):
            records.deployment(one, status)
    assert asked() == before
    page = member.get("/statistics/").content.decode()
    assert 'rel="next"' in page

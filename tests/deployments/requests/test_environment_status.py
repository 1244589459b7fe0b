"""How many environments stand at once: of each, exactly what is said of one alone."""

from datetime import datetime, timedelta

from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from deployments.core import selectors
from deployments.environments.registry import add_environment
from deployments.lifecycle import Kind, Status
from deployments.models import Deployment, Environment, Maintenance, Release, Server
from deployments.requests.environment_status import EnvironmentStatus, environment_statuses
from deployments.requests.rollback_targets import rollback_target
from tests.deployments.world import World

NOBODY = EnvironmentStatus(live=None, active=None, last=None, way_back=None, rollback_seconds=None)


def of(*environments: Environment) -> list[EnvironmentStatus]:
    found = environment_statuses(environments)
    assert sorted(found) == sorted(each.pk for each in environments)
    for each in environments:
        assert found[each.pk].live == selectors.live_release(each)
        assert found[each.pk].way_back == rollback_target(each)
        assert found[each.pk].rollback_seconds == selectors.expected_seconds(each, Kind.ROLLBACK)
    return [found[each.pk] for each in environments]


def rolled_back(world: World, seconds: float, status: Status = Status.SUCCEEDED, *, ended: datetime) -> Deployment:
    """A rollback of production that took so long."""
    row = world.succeeded(world.releases[0])
    begun = ended - timedelta(seconds=seconds)
    Deployment.objects.filter(pk=row.pk).update(kind=Kind.ROLLBACK, status=status, started_at=begun, finished_at=ended)
    return row


def test_where_nothing_happened_there_is_nothing(world: World) -> None:
    assert of(world.production, world.test) == [NOBODY, NOBODY]
    assert not NOBODY.can_roll_back


def test_each_has_its_own_live_release_last_end_and_way_back(world: World) -> None:
    first, second = world.releases
    world.succeeded(first)
    world.succeeded(second)
    on_test = world.succeeded(first, "test", approved_by=())
    failed = world.succeeded(second, "test", approved_by=())
    Deployment.objects.filter(pk=failed.pk).update(status=Status.FAILED)
    production, test = of(world.production, world.test)
    assert (production.live, production.way_back) == (second, first)
    assert (test.live, test.way_back, test.last) == (on_test.release, None, failed)
    assert production.can_roll_back
    assert not test.can_roll_back


def test_what_goes_on_can_be_ended_by_going_back(world: World) -> None:
    row = world.request(environment="test")
    production, test = of(world.production, world.test)
    assert (production.active, test.active) == (None, row)
    assert test.can_roll_back
    assert test.last is None, "it has not ended"


def test_going_back_takes_as_long_as_the_middle_of_the_last_ten_took(world: World) -> None:
    now = timezone.now()
    world.succeeded(world.releases[1])
    for number, seconds in enumerate((500, *range(1, 11))):
        rolled_back(world, seconds, ended=now + timedelta(minutes=number))
    rolled_back(world, 9000, Status.FAILED, ended=now + timedelta(minutes=20))
    production, test = of(world.production, world.test)
    assert (production.rollback_seconds, test.rollback_seconds) == (5.5, None)


def test_a_quarantined_release_is_none_to_go_back_to(world: World) -> None:
    for release in world.releases:
        world.succeeded(release)
    Release.objects.filter(pk=world.releases[0].pk).update(quarantined_at=timezone.now())
    (production,) = of(world.production)
    assert (production.live, production.way_back) == (world.releases[1], None)


def test_where_a_rollback_left_a_server_out_it_goes_back_to_the_same_release_again(world: World) -> None:
    first, second = world.releases
    now = timezone.now()
    world.succeeded(first)
    world.succeeded(second)
    rolled_back(world, 3, ended=now + timedelta(minutes=1))
    Release.objects.filter(pk=second.pk).update(quarantined_at=now)
    (production,) = of(world.production)
    assert (production.live, production.way_back) == (first, None)
    left = Server.objects.filter(environment=world.production)
    left.update(current_release=second)
    (production,) = of(world.production)
    assert (production.live, production.way_back) == (first, first)
    left.update(state=Server.State.RETIRED)
    (production,) = of(world.production)
    assert production.way_back is None


def test_a_success_without_its_approvals_is_passed_over_for_an_earlier_one(world: World) -> None:
    first, second = world.releases
    world.succeeded(first)
    world.succeeded(second)
    world.succeeded(first, approved_by=())
    world.succeeded(second)
    (production,) = of(world.production)
    assert production.way_back == first


def test_the_window_is_the_one_that_holds_now(world: World) -> None:
    now, hour = timezone.now(), timedelta(hours=1)
    windows = [
        Maintenance.objects.create(
            environment=home, title=title, starts_at=now + begin * hour, ends_at=now + end * hour, made_by="ann"
        )
        for home, title, begin, end in (
            (world.production, "over", -2, -1),
            (world.production, "now", -1, 1),
            (world.production, "to come", 1, 2),
            (world.test, "to come", 1, 2),
        )
    ]
    production, test = of(world.production, world.test)
    assert (production.maintenance, test.maintenance) == (windows[1], None)


def test_it_asks_as_often_for_ten_as_for_two(world: World) -> None:
    for release in world.releases:
        world.succeeded(release)

    def queries() -> int:
        environments = list(Environment.objects.all())
        with CaptureQueriesContext(connection) as seen:
            environment_statuses(environments)
        return len(seen)

    few = queries()
    for number in range(8):
        add_environment(actor=world.people["administrator"], application=world.releases[0].name, name=f"place-{number}")
    assert queries() == few

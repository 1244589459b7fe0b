"""What the clusters do by the clock, on a portal that has existed for a while."""

from datetime import timedelta

import pytest
from django.core.management import call_command
from django.utils import timezone
from django_q.models import Schedule, Task

from deployments.core import queueing

pytestmark = pytest.mark.django_db


def drift() -> Schedule:
    return Schedule.objects.get(name="drift")


def test_a_new_version_changes_what_an_older_one_wrote(monkeypatch: pytest.MonkeyPatch) -> None:
    row = drift()
    was = row.next_run
    monkeypatch.setitem(queueing.SCHEDULES, "drift", ("deployments.tasks.reap", queueing.RESCUE, 30))
    call_command("migrate", verbosity=0)
    row = drift()
    assert (row.func, row.cluster, row.minutes) == ("deployments.tasks.reap", queueing.RESCUE, 30)
    assert row.next_run == was, "it was soon due"


def test_what_is_wanted_more_often_is_not_first_waited_for_as_long_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    Schedule.objects.filter(name="drift").update(next_run=timezone.now() + timedelta(minutes=59))
    monkeypatch.setitem(queueing.SCHEDULES, "drift", ("deployments.tasks.find_drift", queueing.DEFAULT, 5))
    call_command("migrate", verbosity=0)
    assert drift().next_run <= timezone.now() + timedelta(minutes=5)


def test_a_migration_that_changes_nothing_puts_no_rehearsal_off() -> None:
    before = list(Schedule.objects.order_by("pk").values())
    call_command("migrate", verbosity=0)
    assert list(Schedule.objects.order_by("pk").values()) == before


@pytest.mark.parametrize(("minutes_ago", "since"), [((0, 1, 2), 2), ((0, 1, 5, 6), 1), ((4, 5), None), ((), None)])
def test_since_when_the_workers_look_goes_back_to_the_last_break(
    minutes_ago: tuple[int, ...], since: int | None
) -> None:
    moments = {minutes: timezone.now() - timedelta(minutes=minutes) for minutes in minutes_ago}
    for minutes, at in moments.items():
        name = f"run-{minutes}"
        Task.objects.create(id=name, name=name, func="x", group="watch", started=at, stopped=at, success=True)
    assert queueing.running_since("watch") == (None if since is None else moments[since])

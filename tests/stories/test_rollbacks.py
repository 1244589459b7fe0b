"""Going back: what to, how it pre-empts, what it keeps, what it quarantines, how long it takes."""

import threading

import pytest
from django.db import connection

from deployments.audit import trail
from deployments.execution.reaper import reap
from deployments.execution.remote_cancellation import cancel_remote
from deployments.execution.run import execute
from deployments.lifecycle import Status
from deployments.models import Deployment, Release
from deployments.requests.requests import request_deployment
from deployments.requests.rollbacks import request_rollback
from deployments.servers.inspection import find_drift
from engine.errors import EnvironmentBusy, InvalidRequest
from tests.fixtures.fleet import TREE, UNIT, Fleet
from tests.stories.running import (
    GO,
    HOLD,
    go_on,
    held,
    in_background,
    no_rehearsals,
    rehearse,
    roll,
    rolls,
    runs,
    shell,
    wait_for,
)

pytestmark = pytest.mark.hosts


@pytest.fixture
def two(fleet: Fleet) -> list[Release]:
    """Two releases that were deployed one after the other."""
    fleet.enrol()
    releases = [fleet.release("1.0.0"), fleet.release("1.0.1")]
    for release in releases:
        assert fleet.deploy(release).status == Status.SUCCEEDED
    return releases


def back(fleet: Fleet, to: Release | None = None) -> Deployment:
    """A rollback, carried out here."""
    rollback = request_rollback(actor=fleet.actor, environment=fleet.environment, reason="it smells", to=to)
    execute(rollback.pk)
    rollback.refresh_from_db()
    return rollback


def test_to_the_previous_release_with_the_data_kept_and_the_bad_one_in_quarantine(
    fleet: Fleet, two: list[Release]
) -> None:
    roll(fleet.machines[0], 11)
    rollback = back(fleet)
    assert rollback.status == Status.SUCCEEDED, rollback.sentence
    assert runs(fleet.machines[0]) == fleet.current() == two[0].identifier
    assert " s of the 300 s allowed" in rollback.sentence
    assert rolls(fleet.machines[0]) == 11
    counted = rollback.targets.get().facts["proof"]["databases"]
    assert counted == {"rolls.db": {"rolls": [11, 11]}}, "counted before and after"
    two[1].refresh_from_db()
    assert two[1].quarantined
    assert "it smells" in two[1].quarantine_reason
    with pytest.raises(InvalidRequest, match="quarantine"):
        request_deployment(actor=fleet.actor, release=two[1], environment=fleet.environment)
    assert request_deployment(actor=fleet.actor, release=two[1], environment=fleet.environment, reason="mended").pk
    assert trail.verify() == []


def test_rows_that_are_gone_afterwards_are_told(fleet: Fleet, two: list[Release]) -> None:
    machine = fleet.machines[0]
    roll(machine, 5)
    rehearse(machine, "restart-end", GO)
    rollback = request_rollback(actor=fleet.actor, environment=fleet.environment, reason="it smells")
    with in_background(rollback):
        wait_for(lambda: held(rollback), "the restart to end")
        forget = "import sqlite3; c = sqlite3.connect('{}'); c.execute('delete from rolls where id > 2'); c.commit()"
        machine.root(["python3", "-c", forget.format(f"{TREE}/shared/data/rolls.db")])
        go_on(machine)
    assert rollback.status == Status.SUCCEEDED, rollback.sentence
    assert "rolls.db has 2 rows in rolls and had 5" in rollback.sentence


def test_to_a_named_release_that_was_pruned_it_is_shipped_again(fleet: Fleet, two: list[Release]) -> None:
    third = fleet.release("1.0.2")
    assert fleet.deploy(third).status == Status.SUCCEEDED
    shell(
        fleet.machines[0], f"rm -rf {TREE}/releases/{two[0].identifier} {TREE}/.deploy/manifests/{two[0].identifier}*"
    )
    rollback = back(fleet, to=two[0])
    assert rollback.status == Status.SUCCEEDED, rollback.sentence
    assert runs(fleet.machines[0]) == two[0].identifier


def test_it_pre_empts_a_running_deployment_and_goes_back_to_what_was_live(fleet: Fleet, two: list[Release]) -> None:
    machine = fleet.machines[0]
    rehearse(machine, "verify", HOLD)
    running = fleet.request(fleet.release("1.0.2"))
    with in_background(running):
        wait_for(lambda: held(running), "the verification to begin")
        no_rehearsals(machine)
        rollback = request_rollback(actor=fleet.actor, environment=fleet.environment, reason="stop that")
        assert rollback.status == Status.AWAITING_APPROVAL
        assert execute(rollback.pk) is None, "not before the running one has ended, proven"
        with pytest.raises(EnvironmentBusy, match="already"):
            request_rollback(actor=fleet.actor, environment=fleet.environment, reason="clicked twice")
        cancel_remote(running.pk)
    assert running.status == Status.CANCELLED, running.sentence
    rollback.refresh_from_db()
    assert rollback.status == Status.QUEUED
    assert execute(rollback.pk) == Status.SUCCEEDED
    assert fleet.current() == rollback.release.identifier == two[1].identifier
    rollback.refresh_from_db()
    assert (rollback.fence or 0) > (running.fence or 0) > 0


def test_a_rollback_whose_deployment_ended_unnoticed_begins_with_the_next_reap(
    fleet: Fleet, two: list[Release]
) -> None:
    rollback = request_rollback(actor=fleet.actor, environment=fleet.environment, reason="it smells")
    Deployment.objects.filter(pk=rollback.pk).update(status=Status.AWAITING_APPROVAL, queued_at=None)
    reap()
    assert execute(rollback.pk) == Status.SUCCEEDED


def test_two_people_who_click_at_once_make_one_rollback(fleet: Fleet, two: list[Release]) -> None:
    made: list[object] = []
    begin = threading.Barrier(2)

    def click() -> None:
        begin.wait()
        try:
            made.append(request_rollback(actor=fleet.actor, environment=fleet.environment, reason="it smells").pk)
        except EnvironmentBusy:
            made.append(None)
        finally:
            connection.close()

    threads = [threading.Thread(target=click) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(number is None for number in made) == [False, True]


def test_readiness_says_whether_a_rollback_would_find_what_it_needs(fleet: Fleet, two: list[Release]) -> None:
    machine = fleet.machines[0]

    def look() -> dict[str, object]:
        find_drift(actor=fleet.actor, environment=fleet.environment)
        return dict(fleet.server().readiness)

    assert look()["ready"] is True
    assert look()["target"] == two[0].identifier
    shell(machine, f"cd {TREE}/releases/{two[0].identifier}; chmod u+w dicebot; rm dicebot/__init__.py")
    damaged = look()
    assert damaged["ready"] is False
    assert "ship" in str(damaged["sentence"])
    rollback = back(fleet)
    assert rollback.status == Status.SUCCEEDED, "what is damaged is shipped again"
    assert "no earlier release" in str(look()["sentence"]), "the quarantined one is no rollback target"


def test_five_deployments_and_rollbacks_in_a_row_do_not_trip_the_start_limit(fleet: Fleet, two: list[Release]) -> None:
    for _ in range(5):
        assert back(fleet).status == Status.SUCCEEDED
        forward = request_deployment(
            actor=fleet.actor, release=two[1], environment=fleet.environment, reason="once more"
        )
        assert execute(forward.pk) == Status.SUCCEEDED
        Release.objects.update(quarantined_at=None)
    assert shell(fleet.machines[0], f"systemctl is-active {UNIT}") == "active"


def test_a_check_that_said_yes_here_is_not_waited_for_again(fleet: Fleet, two: list[Release]) -> None:
    def known(deployment: Deployment) -> object:
        return deployment.targets.get().steps.get(name="dependencies").facts.get("known")

    assert known(Deployment.objects.get(release=two[0])) is None, "the first time it is asked"
    assert known(back(fleet)) == ["bot"]
    shell(fleet.machines[0], f"rm -f {TREE}/releases/*/.checked")
    forward = request_deployment(actor=fleet.actor, release=two[1], environment=fleet.environment, reason="again")
    assert execute(forward.pk) == Status.SUCCEEDED
    assert known(forward) is None

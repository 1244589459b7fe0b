"""Migrations of an application with a database, on a real server: whatever happens to them, data are as before.

The same of an application whose data are in SQLite and of one whose data a PostgreSQL server has.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from deployments.core.actors import shell_actor
from deployments.execution.reaper import reap
from deployments.lifecycle import Status
from deployments.models import Deployment, Operation, Release
from deployments.operations.carrying_out import carry_out
from deployments.operations.data import backups_on, restore_data
from sandbox.hosts import HostSet
from tests.fixtures.fleet import UNIT, Fleet, Provisioned, clean, provision_all
from tests.stories.running import active, in_background, lock_is_free, roll, runs, shell, wait_for
from tests.stories.stores import POSTGRESQL, SQLITE, Store, empty_postgresql

pytestmark = pytest.mark.hosts
ACTOR = shell_actor("tester")


@pytest.fixture(scope="module")
def beside_postgresql(hosts_factory: Callable[..., HostSet]) -> Provisioned:
    """A host with a PostgreSQL server, ready for the example bot."""
    return provision_all(hosts_factory(1, POSTGRESQL.layer))


@pytest.fixture(
    params=[pytest.param(SQLITE, id="sqlite"), pytest.param(POSTGRESQL, id="postgresql", marks=pytest.mark.full)]
)
def store(request: pytest.FixtureRequest) -> Store:
    """Where the application keeps its data. Another image takes a minute to make, once."""
    found: Store = request.param
    return found


@pytest.fixture
def fleet(
    store: Store, request: pytest.FixtureRequest, transactional_db: None, state_dir: Path, tmp_path: Path
) -> Fleet:
    """Hosts that have what the store needs."""
    provisioned: Provisioned = request.getfixturevalue("provisioned" if store is SQLITE else "beside_postgresql")
    for machine in provisioned.machines:
        clean(machine)
        if store is POSTGRESQL:
            empty_postgresql(machine)
    return Fleet(provisioned, tmp_path)


@pytest.fixture
def before(fleet: Fleet, store: Store) -> str:
    """An application that has written something; what that is."""
    fleet.enrol()
    first = fleet.deploy(fleet.release("1.0.0", store.release()))
    assert first.status == Status.SUCCEEDED, first.sentence
    roll(fleet.machines[0], 3)
    written = store.rows(fleet)
    assert "rolls" in written
    return written


def assert_as_before(fleet: Fleet, store: Store, deployment: Deployment, before: str) -> None:
    deployment.refresh_from_db()
    assert deployment.status == Status.ROLLED_BACK, deployment.sentence
    assert store.rows(fleet) == before
    assert (fleet.current(), runs(fleet.machines[0])) == (str(fleet.server().current_release),) * 2
    assert active(fleet.machines[0]) == "active"
    assert shell(fleet.machines[0], "pgrep -f 'dicebot.migrat[e]'") == ""


def test_a_migration_that_fails_or_hangs_or_whose_release_does_not_run_is_taken_back(
    fleet: Fleet, store: Store, before: str
) -> None:
    failed = fleet.deploy(fleet.release("1.1.0", store.release("fails")))
    assert_as_before(fleet, store, failed, before)
    assert "The hook after_activate (python) ended with 1." in failed.sentence
    hung = fleet.deploy(fleet.release("1.2.0", store.release("hangs", 4)))
    assert_as_before(fleet, store, hung, before)
    assert "did not end within 4 s" in hung.sentence

    def broken(tree: Path) -> None:
        store.release("whole")(tree)
        program = tree / "dicebot" / "__main__.py"
        docstring, _, rest = program.read_text().partition("\n")
        program.write_text(f"{docstring}\nimport sys\nif '--check' not in sys.argv:\n    sys.exit('no')\n{rest}")

    assert_as_before(fleet, store, fleet.deploy(fleet.release("1.3.0", broken)), before)
    early = fleet.deploy(fleet.release("1.4.0", store.release("fails", moment="before_activate")))
    assert early.status in (Status.FAILED, Status.ROLLED_BACK), early.sentence
    assert store.rows(fleet) == before

    whole = fleet.deploy(fleet.release("1.5.0", store.release("whole")))
    assert whole.status == Status.SUCCEEDED, whole.sentence
    assert "doubled" in store.rows(fleet)
    assert shell(fleet.machines[0], store.owner) == "dice-bot"


def test_what_a_migration_without_a_way_back_did_is_said_and_the_backup_of_before_takes_it_away(
    fleet: Fleet, store: Store, before: str
) -> None:
    failed = fleet.deploy(fleet.release("1.1.0", store.release("fails", back=False)))
    assert failed.status == Status.ROLLED_BACK, failed.sentence
    assert "What after_activate did stays: it names no way back." in failed.sentence
    assert "doubled" in store.rows(fleet)
    newest = backups_on(actor=ACTOR, server=fleet.server())[0]
    row = restore_data(actor=ACTOR, server=fleet.server(), backup=newest.name, reason="half made", queued=False)
    assert carry_out(number=row.pk).state == Operation.State.SUCCEEDED
    assert store.rows(fleet) == before
    assert (active(fleet.machines[0]), runs(fleet.machines[0])) == ("active", str(fleet.server().current_release))


def begun(fleet: Fleet, store: Store) -> None:
    wait_for(lambda: "doubled" in store.rows(fleet), "the migration to be half done")


def test_a_killed_agent_leaves_no_migration_behind(fleet: Fleet, store: Store, before: str) -> None:
    deployment = fleet.request(hanging(fleet, store))
    with in_background(deployment):
        begun(fleet, store)
        assert shell(fleet.machines[0], "pkill -9 -c -f 'agent-[0-9a-f]{64}.* ru[n]'") == "2", "both of them"
        wait_for(lambda: lock_is_free(fleet.machines[0]), "the agent to be gone")
    wait_for(lambda: reap() or ended(deployment), "the end to be known")
    assert_as_before(fleet, store, deployment, before)


@pytest.mark.usefixtures("short_deadlines")
def test_a_power_cut_in_a_migration_is_undone_before_the_services_start(
    fleet: Fleet, store: Store, before: str
) -> None:
    machine = fleet.machines[0]
    shell(machine, f"systemctl is-enabled {UNIT} || systemctl enable {UNIT}")
    deployment = fleet.request(hanging(fleet, store))
    with in_background(deployment):
        begun(fleet, store)
        machine.power_off()
        machine.power_on()
        wait_for(lambda: active(machine) == "active", "the service to start")
    assert store.rows(fleet) == before
    started = "systemctl show -P ActiveEnterTimestampMonotonic {}"
    settled = int(shell(machine, "systemctl show -P ExecMainExitTimestampMonotonic dice-bot-settle.service"))
    assert 0 < settled <= int(shell(machine, started.format(UNIT))), "the service waited for it"
    wait_for(lambda: reap() or ended(deployment), "the end to be known")
    assert_as_before(fleet, store, deployment, before)


def hanging(fleet: Fleet, store: Store) -> Release:
    return fleet.release("2.0.0", store.release("hangs", 120))


def ended(deployment: Deployment) -> bool:
    deployment.refresh_from_db()
    return deployment.ended

"""Migrations of an application with a database, on a real server: whatever happens to them, data are as before."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from deployments.execution.reaper import reap
from deployments.lifecycle import Status
from deployments.models import Deployment, Release
from tests.fixtures.fleet import TREE, UNIT, Fleet
from tests.stories.running import active, in_background, lock_is_free, roll, runs, shell, wait_for

pytestmark = pytest.mark.hosts
DATABASE = f"{TREE}/shared/data/rolls.db"
MIGRATE = """\"\"\"What the releases of the tests do to the schema: whole, and back, and in other ways.\"\"\"
import os, sqlite3, sys, time

database = sqlite3.connect(sys.argv[1])
how = sys.argv[2]
if how == "down":
    if database.execute("SELECT 1 FROM sqlite_master WHERE name = 'doubled'").fetchone():
        database.executescript("DROP TABLE doubled; UPDATE rolls SET value = value / 2;")
    sys.exit()
database.executescript("CREATE TABLE doubled (of INTEGER); UPDATE rolls SET value = value * 2;")
print("half", os.environ["RELEASE_VERSION"], flush=True)
if how == "fails":
    sys.exit("no such thing")
while how == "hangs":
    time.sleep(987)
"""


def migrating(how: str, deadline: float = 30, moment: str = "after_activate") -> Callable[[Path], None]:
    """A release with a migration that goes `how`, and a way back."""

    def change(tree: Path) -> None:
        (tree / "dicebot" / "migrate.py").write_text(MIGRATE)
        words = {
            key: ["python", "-m", "dicebot.migrate", "{data}/rolls.db", value]
            for key, value in {"command": how, "back": "down"}.items()
        }
        rows = "\n".join(f"{key} = {json.dumps(value)}" for key, value in words.items())
        text = (tree / "deploy.toml").read_text()
        (tree / "deploy.toml").write_text(f"{text}\n[hooks.{moment}]\ndeadline = {deadline}\n{rows}\n")

    return change


def rows(fleet: Fleet) -> str:
    """Schema and contents of the application's database."""
    program = f"import sqlite3; print(*sqlite3.connect({DATABASE!r}).iterdump(), sep='\\n')"
    return shell(fleet.machines[0], f'runuser -u dice-bot -- python3 -c "{program}"')


@pytest.fixture
def before(fleet: Fleet) -> str:
    """An application that has written something; what that is."""
    fleet.enrol()
    assert fleet.deploy(fleet.release("1.0.0")).status == Status.SUCCEEDED
    roll(fleet.machines[0], 3)
    return rows(fleet)


def assert_as_before(fleet: Fleet, deployment: Deployment, before: str) -> None:
    deployment.refresh_from_db()
    assert deployment.status == Status.ROLLED_BACK, deployment.sentence
    assert rows(fleet) == before
    assert (fleet.current(), runs(fleet.machines[0])) == (str(fleet.server().current_release),) * 2
    assert active(fleet.machines[0]) == "active"
    assert shell(fleet.machines[0], "pgrep -f 'dicebot.migrat[e]'") == ""


def test_a_migration_that_fails_or_hangs_or_whose_release_does_not_run_is_taken_back(fleet: Fleet, before: str) -> None:
    failed = fleet.deploy(fleet.release("1.1.0", migrating("fails")))
    assert_as_before(fleet, failed, before)
    assert "The hook after_activate (python) ended with 1." in failed.sentence
    hung = fleet.deploy(fleet.release("1.2.0", migrating("hangs", 4)))
    assert_as_before(fleet, hung, before)
    assert "did not end within 4 s" in hung.sentence

    def broken(tree: Path) -> None:
        migrating("whole")(tree)
        program = tree / "dicebot" / "__main__.py"
        docstring, _, rest = program.read_text().partition("\n")
        program.write_text(f"{docstring}\nimport sys\nif '--check' not in sys.argv:\n    sys.exit('no')\n{rest}")

    assert_as_before(fleet, fleet.deploy(fleet.release("1.3.0", broken)), before)
    early = fleet.deploy(fleet.release("1.4.0", migrating("fails", moment="before_activate")))
    assert early.status in (Status.FAILED, Status.ROLLED_BACK), early.sentence
    assert rows(fleet) == before

    whole = fleet.deploy(fleet.release("1.5.0", migrating("whole")))
    assert whole.status == Status.SUCCEEDED, whole.sentence
    assert "doubled" in rows(fleet)
    owner = shell(fleet.machines[0], f"stat -c %U {DATABASE}")
    assert owner == "dice-bot"


def begun(fleet: Fleet, deployment: Deployment) -> None:
    wait_for(lambda: "doubled" in rows(fleet), "the migration to be half done")


def test_a_killed_agent_leaves_no_migration_behind(fleet: Fleet, before: str) -> None:
    deployment = fleet.request(hanging(fleet))
    with in_background(deployment):
        begun(fleet, deployment)
        assert shell(fleet.machines[0], "pkill -9 -c -f 'agent-[0-9a-f]{64}.* ru[n]'") == "2", "both of them"
        wait_for(lambda: lock_is_free(fleet.machines[0]), "the agent to be gone")
    wait_for(lambda: reap() or ended(deployment), "the end to be known")
    assert_as_before(fleet, deployment, before)


@pytest.mark.usefixtures("short_deadlines")
def test_a_power_cut_in_a_migration_is_undone_before_the_services_start(fleet: Fleet, before: str) -> None:
    machine = fleet.machines[0]
    shell(machine, f"systemctl is-enabled {UNIT} || systemctl enable {UNIT}")
    deployment = fleet.request(hanging(fleet))
    with in_background(deployment):
        begun(fleet, deployment)
        machine.power_off()
        machine.power_on()
        wait_for(lambda: active(machine) == "active", "the service to start")
    assert rows(fleet) == before
    started = "systemctl show -P ActiveEnterTimestampMonotonic {}"
    settled = int(shell(machine, "systemctl show -P ExecMainExitTimestampMonotonic dice-bot-settle.service"))
    assert 0 < settled <= int(shell(machine, started.format(UNIT))), "the service waited for it"
    wait_for(lambda: reap() or ended(deployment), "the end to be known")
    assert_as_before(fleet, deployment, before)


def hanging(fleet: Fleet) -> Release:
    return fleet.release("2.0.0", migrating("hangs", 120))


def ended(deployment: Deployment) -> bool:
    deployment.refresh_from_db()
    return deployment.ended

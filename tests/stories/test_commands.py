"""One-off commands on a real server: as the application's account, heard as they run, and gone when nobody listens."""

import os
import signal
import threading
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection

from deployments.core.actors import shell_actor
from deployments.core.sessions import address_of, private_key_of
from deployments.lifecycle import Status
from deployments.models import Operation
from deployments.operations.carrying_out import carry_out
from deployments.operations.one_off import OneOffCommand, run_command
from deployments.releases.role_plans import roles_on
from engine.remote import AgentClient
from engine.ssh.session import Session
from tests.fixtures.fleet import TREE, UNIT, Fleet
from tests.stories.running import lock_is_free, shell, wait_for

pytestmark = pytest.mark.hosts
ONE_OFF = "dice-bot-one-off.service"


def secretive(tree: Path) -> None:
    """A release whose unit has a secret and variables of its own."""
    unit = tree / "systemd" / "dice-bot.service"
    more = "Environment='GREETING=good day' COLOUR=red\nLoadCredential=pass:/opt/dice-bot/shared/secrets/pass\n"
    unit.write_text(unit.read_text().replace("[Service]\n", f"[Service]\n{more}"))


def ran(fleet: Fleet, *command: str, say: Callable[[str], None] = lambda _: None, **more: Any) -> Operation:
    row = run_command(
        actor=shell_actor("tester"), server=fleet.server(), wanted=OneOffCommand(command, **more), queued=False
    )
    return carry_out(number=row.pk, say=say)


@pytest.fixture
def deployed(fleet: Fleet) -> None:
    fleet.enrol()
    assert fleet.deploy(fleet.release("1.0.0")).status == Status.SUCCEEDED


def gone(fleet: Fleet) -> None:
    """Nothing of a command is left, and the next one may begin."""
    machine = fleet.machines[0]
    wait_for(lambda: shell(machine, f"systemctl is-active {ONE_OFF}") == "inactive", "the end of the command")
    assert shell(machine, "pgrep -f '[s]leep 987'") == ""
    wait_for(lambda: lock_is_free(machine), "the end of the agent")


def test_a_command_runs_as_the_application_with_what_its_unit_is_given(fleet: Fleet) -> None:
    fleet.enrol()
    shell(fleet.machines[0], f"printf hunter22 > {TREE}/shared/secrets/pass; chown rosey {TREE}/shared/secrets/pass")
    assert fleet.deploy(fleet.release("1.0.0", secretive)).status == Status.SUCCEEDED
    script = (
        'id -un; pwd -P; echo "$GREETING, $COLOUR, $RELEASE_VERSION"; wc -c < $CREDENTIALS_DIRECTORY/pass; '
        'cat $CREDENTIALS_DIRECTORY/pass; echo; command -v python; grep NoNewPrivs /proc/self/status; echo "$0 $1"; '
        "touch shared 2>&1; exit 7"
    )
    heard: list[str] = []
    row = ran(fleet, "sh", "-c", script, "$HOME", "${PATH} % $$", say=heard.append)
    assert (row.state, row.outcome, row.exit_code) == (Operation.State.FAILED, "exit-code", 7), (row.sentence, heard)
    assert heard[:8] == [
        "dice-bot",
        f"{TREE}/releases/{fleet.current()}",
        "good day, red, 1.0.0",
        "8",
        "[secret pass]",
        f"{TREE}/current/.envs/bot/bin/python",
        "NoNewPrivs:     1",
        "$HOME ${PATH} % $$",
    ]
    assert "Permission denied" in heard[8] or "Read-only" in heard[8]
    assert row.output.splitlines() == heard

    ended = {
        ("true",): ("success", 0),
        ("sh", "-c", "kill -9 $$"): ("signal", 137),
        ("no-such-program",): ("exit-code", 127),
        ("sh", "-c", "sleep 987 & setsid sleep 987 & exit 0"): ("success", 0),
    }
    assert {command: ((row := ran(fleet, *command)).outcome, row.exit_code) for command in ended} == ended
    gone(fleet)
    late = ran(fleet, "sh", "-c", "trap '' TERM; sleep 987; sleep 987", seconds=1)
    assert (late.outcome, "did not end within 1 s" in late.sentence, late.exit_code > 0) == ("timeout", True, True)
    much = ran(fleet, "sh", "-c", "yes | head -n 300000; echo the last")
    assert (much.state, len(much.output) < 70_000) == (Operation.State.SUCCEEDED, True), much.sentence
    gone(fleet)


LASTING = ("sh", "-c", "echo begun; sleep 987 & sleep 987")


def test_ctrl_c_ends_it_here_and_there(fleet: Fleet, deployed: None) -> None:
    class Typed(StringIO):
        def write(self, text: str) -> int:
            if "begun" in text:
                raise KeyboardInterrupt
            return super().write(text)

    with pytest.raises(SystemExit) as stopped:
        call_command("run", "test", "--", *LASTING, stdout=Typed(), stderr=StringIO())
    assert stopped.value.code == 130
    assert Operation.objects.get().state == Operation.State.LOST
    gone(fleet)


def test_a_killed_process_leaves_nothing_running(fleet: Fleet, deployed: None, tmp_path: Path) -> None:
    server = fleet.server()
    assert server.current_release is not None
    roles, release = roles_on(server, server.current_release), fleet.current()
    address, key = address_of(server), private_key_of(server.environment)
    child = os.fork()
    if child == 0:
        with Session(address, key) as session:
            begun = tmp_path / "begun"
            AgentClient(session, "dice-bot").command(
                release, roles, LASTING, seconds=60, unit=UNIT, on_record=lambda _: begun.touch()
            )
        os._exit(1)
    try:
        wait_for((tmp_path / "begun").exists, "its first line")
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    gone(fleet)


def test_a_cut_line_leaves_nothing_running_and_a_deployment_waits_meanwhile(
    fleet: Fleet, deployed: None, short_deadlines: None
) -> None:
    heard: list[str] = []
    said: list[Operation] = []

    def run() -> None:
        said.append(ran(fleet, *LASTING, say=heard.append))
        connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        wait_for(lambda: "begun" in heard, "its first line")
        fleet.machines[0].link(False)
        thread.join()
    finally:
        fleet.machines[0].link(True)
    assert said[0].state in (Operation.State.FAILED, Operation.State.LOST)
    gone(fleet)

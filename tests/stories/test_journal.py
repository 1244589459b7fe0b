"""The journal of a real server: read, searched, followed; and nothing is left there when somebody leaves."""

import threading
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.utils import timezone

from deployments.core.actors import shell_actor
from deployments.lifecycle import Status
from deployments.operations.journal import Line, LogQuery, follow, read
from engine.ssh.errors import SSHError
from tests.fixtures.fleet import UNIT, Fleet
from tests.stories.running import shell, wait_for

pytestmark = pytest.mark.hosts
HEARD = "/opt/dice-bot/shared/data/says"
ACTOR = shell_actor("tester")
READING = "pgrep -c -f 'journalctl.*--follo[w]|agent-[0-9a-f]{64}.* log[s]'"


SAYS = f"""
import os, sys, threading, time
def repeat():
    with open({HEARD!r}, "a+") as file:
        file.seek(0, 2)
        while True:
            sys.stderr.write(file.read())
            sys.stderr.flush()
            time.sleep(0.05)
if "--check" not in sys.argv:
    threading.Thread(target=repeat, daemon=True).start()
"""


def talkative(tree: Path) -> None:
    """A release that writes whatever is put into a file of its."""
    program = tree / "dicebot" / "__main__.py"
    docstring, _, rest = program.read_text().partition("\n")
    program.write_text(f"{docstring}\n{SAYS}\n{rest}")


def write(fleet: Fleet, text: str, level: int = 6) -> None:
    """A line of the service's own."""
    shell(fleet.machines[0], f"printf '<{level}>%s\\n' '{text}' >> {HEARD}")


def test_lines_are_read_searched_and_followed_and_whoever_leaves_leaves_nothing(
    fleet: Fleet, short_deadlines: None
) -> None:
    fleet.enrol()
    assert fleet.deploy(fleet.release("1.0.0", talkative)).status == Status.SUCCEEDED
    for number in range(30):
        write(fleet, f"line {number} of thirty", 3 if number == 7 else 6)
    wait_for(lambda: "line 29" in shell(fleet.machines[0], f"journalctl -u {UNIT} -n 3"), "the lines")
    server = fleet.server()
    found = read(actor=ACTOR, server=server, wanted=LogQuery(grep="OF THIRTY", lines=5))
    assert [line.text for line in found] == [f"line {number} of thirty" for number in range(25, 30)]
    assert found[0].unit == UNIT
    [grave] = read(actor=ACTOR, server=server, wanted=LogQuery(level="err", grep="thirty"))
    assert (grave.text, grave.level) == ("line 7 of thirty", "err")
    later = timezone.now() + timedelta(hours=1)
    assert read(actor=ACTOR, server=server, wanted=LogQuery(since=later)) == []

    lines: list[Line] = []
    errors: list[BaseException] = []
    leave = threading.Event()

    def say(line: Line) -> None:
        if leave.is_set():
            raise KeyboardInterrupt
        lines.append(line)

    def listen() -> None:
        try:
            follow(actor=ACTOR, server=server, wanted=LogQuery(lines=1), say=say)
        except (KeyboardInterrupt, SSHError) as error:
            errors.append(error)
        finally:
            connection.close()

    def following() -> threading.Thread:
        lines.clear()
        thread = threading.Thread(target=listen)
        thread.start()
        wait_for(lambda: bool(lines), "the first line")
        assert int(shell(fleet.machines[0], READING)) > 0
        return thread

    thread = following()
    write(fleet, "something new")
    wait_for(lambda: lines[-1].text == "something new", "a new line")
    leave.set()
    write(fleet, "the last that is heard")
    thread.join(20)
    assert isinstance(errors[0], KeyboardInterrupt)
    wait_for(lambda: shell(fleet.machines[0], READING) == "0", "nothing to be left of it")

    leave.clear()
    thread = following()
    fleet.machines[0].link(False)
    wait_for(lambda: shell(fleet.machines[0], READING) == "0", "nothing to be left behind a cut line", deadline=40)
    thread.join(40)
    assert isinstance(errors[1], SSHError)
    fleet.machines[0].link(True)

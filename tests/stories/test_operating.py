"""Restart, stop, start and status on a real server, by the command line and by a worker."""

import json
import threading
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from deployments.core.actors import shell_actor
from deployments.execution.run import execute
from deployments.lifecycle import Status
from deployments.models import Operation, Server
from deployments.operations.requesting import operate
from deployments.tasks import operate as carry_out
from tests.fixtures.fleet import UNIT, Fleet
from tests.stories.running import shell, wait_for

pytestmark = pytest.mark.hosts


def command(*arguments: str) -> tuple[int, Any]:
    """A command with `--json`: its exit code, and what it printed."""
    out = StringIO()
    try:
        call_command(*arguments, "--json", stdout=out)
    except SystemExit as stopped:
        return int(stopped.code or 0), json.loads(out.getvalue())
    return 0, json.loads(out.getvalue())


def pid(fleet: Fleet) -> int:
    return int(shell(fleet.machines[0], f"systemctl show -P MainPID {UNIT}"))


def crash(tree: Path) -> None:
    """A release that runs until it is started a second time."""
    program = tree / "dicebot" / "__main__.py"
    mark = "/opt/dice-bot/shared/data/started"
    first = (
        "import os, sys\nif '--check' not in sys.argv:\n"
        f"    if os.path.exists({mark!r}):\n        sys.exit('no second time')\n    open({mark!r}, 'w')\n"
    )
    program.write_text(program.read_text().replace('if __name__ == "__main__":', f'{first}if __name__ == "__main__":'))


def test_a_service_is_restarted_stopped_and_started_by_command_and_by_worker(fleet: Fleet) -> None:
    fleet.enrol()
    assert fleet.deploy(fleet.release("1.0.0")).status == Status.SUCCEEDED
    before = pid(fleet)
    code, said = command("restart", "test")
    [done] = said["operations"]
    assert (code, done["outcome"]) == (0, "restarted"), done
    assert "healthy answers in a row" in done["sentence"]
    assert pid(fleet) not in (0, before)

    row = operate(actor=shell_actor("tester"), server=fleet.server(), kind=Operation.Kind.STOP, reason="quiet")
    assert carry_out(row.pk) == "succeeded"
    assert pid(fleet) == 0
    assert carry_out(row.pk) == "succeeded", "delivered twice"
    code, [standing] = command("status", "test")
    assert (code, standing["well"]) == (0, True)
    assert f"{UNIT} stopped by shell:tester: quiet" in standing["sentence"]
    code, said = command("start", "test", "--server", "dice-1")
    assert (code, fleet.server().stopped) == (0, None), said
    assert pid(fleet) > 0
    code, [standing] = command("status", "test")
    assert (code, standing["units"][0]["active"], standing["health"]["bot"]) == (0, "active", "HTTP 200, connected")


def test_a_deployment_starts_what_was_stopped(fleet: Fleet) -> None:
    fleet.enrol()
    fleet.deploy(fleet.release("1.0.0"))
    command("stop", "test", "--reason", "until it is mended")
    assert fleet.server().stopped
    assert fleet.deploy(fleet.release("1.0.1")).status == Status.SUCCEEDED
    assert fleet.server().stopped is None
    assert pid(fleet) > 0


def test_what_does_not_come_back_says_why_and_what_it_printed(fleet: Fleet) -> None:
    fleet.enrol()
    deployment = fleet.deploy(fleet.release("1.0.0", crash))
    assert deployment.status == Status.SUCCEEDED, deployment.sentence
    code, said = command("restart", "test")
    assert code == 1
    assert said["operations"][0]["outcome"] in ("crash_loop", "unit_failed", "unit_not_active"), said
    assert "no second time" in Operation.objects.get().output


def test_a_deployment_in_the_middle_of_it_is_not_disturbed(fleet: Fleet) -> None:
    fleet.enrol()
    fleet.deploy(fleet.release("1.0.0"))
    directory = "/opt/dice-bot/.deploy/rehearsal"
    script = f"mkdir -p {directory}; printf '#!/bin/sh\\nsleep 4\\n' > {directory}/restart"
    shell(fleet.machines[0], f"{script}; chmod 755 {directory}/restart")
    row = operate(actor=shell_actor("tester"), server=fleet.server(), kind=Operation.Kind.STOP, reason="x")
    deployment = fleet.request(fleet.release("1.0.1"))
    worker = threading.Thread(target=execute, args=[deployment.pk])
    worker.start()
    wait_for(lambda: shell(fleet.machines[0], f"readlink {directory}/../../current").count("1.0.1") == 1, "activation")
    assert carry_out(row.pk) == "failed"
    worker.join()
    deployment.refresh_from_db()
    row.refresh_from_db()
    assert (row.outcome, deployment.status) == ("host_locked", Status.SUCCEEDED), (row.sentence, deployment.sentence)
    assert Server.objects.get(name="dice-1").stopped is None
    assert pid(fleet) > 0

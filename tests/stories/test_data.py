"""The data of an application on a real server: its backups listed, proven, and brought back, whole or not at all."""

import json
import shlex
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from deployments.core.actors import shell_actor
from deployments.lifecycle import Status
from deployments.models import Operation
from deployments.operations.carrying_out import carry_out
from deployments.operations.data import backups_on, rehearse_restore, restore_data
from engine.errors import TargetError
from tests.fixtures.fleet import TREE, UNIT, Fleet
from tests.stories.running import shell

pytestmark = pytest.mark.hosts
ACTOR = shell_actor("tester")
DATABASE = f"{TREE}/shared/data/rolls.db"
PICKY = f"""
import sqlite3, sys
if "--check" not in sys.argv:
    tables = sqlite3.connect({DATABASE!r}).execute("select name from sqlite_master").fetchall()
    if ("poison",) in tables:
        sys.exit("this database is of another release")
"""


def picky(tree: Path) -> None:
    """A release that does not start with every database."""
    program = tree / "dicebot" / "__main__.py"
    docstring, _, rest = program.read_text().partition("\n")
    program.write_text(f"{docstring}\n{PICKY}\n{rest}")


def query(fleet: Fleet, database: str, statement: str) -> str:
    """What a statement answers on the host, as root."""
    program = "import sqlite3, sys; d = sqlite3.connect(sys.argv[1]); print(*d.execute(sys.argv[2])); d.commit()"
    return shell(fleet.machines[0], shlex.join(["python3", "-c", program, database, statement]))


def roll(fleet: Fleet, times: int) -> None:
    for _ in range(times):
        shell(fleet.machines[0], "curl -s -X POST http://127.0.0.1:8101/roll")


def rolls(fleet: Fleet) -> int:
    return int(query(fleet, DATABASE, "select count(*) from rolls").strip("(,)"))


def restored(fleet: Fleet, backup: str) -> Operation:
    row = restore_data(actor=ACTOR, server=fleet.server(), backup=backup, reason="the rolls are gone", queued=False)
    return carry_out(number=row.pk)


def test_a_backup_is_listed_proven_and_brought_back_and_what_was_there_is_kept(fleet: Fleet) -> None:
    fleet.enrol()
    assert fleet.deploy(fleet.release("1.0.0")).status == Status.SUCCEEDED
    roll(fleet, 3)
    assert fleet.deploy(fleet.release("1.0.1")).status == Status.SUCCEEDED
    roll(fleet, 2)
    server = fleet.server()
    [backup] = [one for one in backups_on(actor=ACTOR, server=server) if one.databases]
    assert (backup.databases, backup.whole) == (["rolls.db"], True)
    assert "restored into a scratch directory" in rehearse_restore(actor=ACTOR, server=server, backup=backup.name)
    assert rolls(fleet) == 5, "a rehearsal changes nothing"

    row = restored(fleet, backup.name)
    assert row.state == Operation.State.SUCCEEDED, row.sentence
    assert rolls(fleet) == 3
    roll(fleet, 1)
    assert rolls(fleet) == 4, "the application writes it"
    kept = row.facts["kept"]
    assert restored(fleet, kept).state == Operation.State.SUCCEEDED
    assert rolls(fleet) == 5
    assert shell(fleet.machines[0], f"ls -A {TREE}/shared/data | grep before-restore || true") == ""
    assert shell(fleet.machines[0], f"ls -A {TREE}/backups | grep '^[.]' || true") == ""

    out = StringIO()
    call_command("backups", "test", "--json", stdout=out)
    listed: dict[str, Any] = json.loads(out.getvalue())
    assert len([one for one in listed["dice-1"] if one["databases"]]) == 3

    place = f"{TREE}/backups/{backup.name}/rolls.db"
    shell(fleet.machines[0], f"chmod 600 {place}; printf 'not a database' > {place}")
    with pytest.raises(TargetError, match="is not what was written"):
        rehearse_restore(actor=ACTOR, server=server, backup=backup.name)
    damaged = restored(fleet, backup.name)
    assert (damaged.outcome, rolls(fleet)) == ("backup_damaged", 5)
    assert restored(fleet, "20200101T000000Z-1").outcome == "no_backup"
    assert restored(fleet, "../../etc").outcome == "no_backup"
    assert shell(fleet.machines[0], f"systemctl is-active {UNIT}") == "active"


def test_what_does_not_run_with_the_backup_is_put_back_as_it_was(fleet: Fleet) -> None:
    fleet.enrol()
    fleet.deploy(fleet.release("1.0.0"))
    roll(fleet, 2)
    fleet.deploy(fleet.release("1.0.1", picky))
    roll(fleet, 2)
    [backup] = [one for one in backups_on(actor=ACTOR, server=fleet.server()) if one.databases]
    place = f"{TREE}/backups/{backup.name}/rolls.db"
    shell(fleet.machines[0], f"chmod 600 {place}")
    query(fleet, place, "create table poison (x)")
    shell(fleet.machines[0], f"cd {TREE}/backups/{backup.name} && sha256sum rolls.db > rolls.db.sha256")
    row = restored(fleet, backup.name)
    assert row.state == Operation.State.FAILED, row.sentence
    assert f"What was there before is there again. Running: {UNIT}" in row.sentence
    assert rolls(fleet) == 4
    assert shell(fleet.machines[0], f"systemctl is-active {UNIT}") == "active"
    assert shell(fleet.machines[0], f"ls -A {TREE}/shared/data | grep before-restore || true") == ""


ELSEWHERE = f"{TREE}/shared/data/elsewhere"
"""Stands for a database of a server of its own: only commands of the application's touch it."""


def dumping(tree: Path) -> None:
    """A release whose database is behind two commands."""
    into = ["sh", "-c", f"id -un > {ELSEWHERE}.by; cat > {ELSEWHERE}.new && mv {ELSEWHERE}.new {ELSEWHERE}"]
    commands = {"dump": ["sh", "-c", f"echo careful >&2; cat {ELSEWHERE}"], "restore": into}
    rows = "\n".join(f"{key} = {json.dumps(words)}" for key, words in commands.items())
    text = (tree / "deploy.toml").read_text()
    (tree / "deploy.toml").write_text(f"{text}\n[roles.bot.dumps.main]\n{rows}\n[backups]\nkeep = 2\n")


def test_a_database_behind_commands_is_dumped_listed_and_brought_back(fleet: Fleet) -> None:
    machine = fleet.machines[0]
    fleet.enrol()
    assert fleet.deploy(fleet.release("1.0.0", dumping)).status == Status.SUCCEEDED
    shell(machine, f"head -c 3000000 /dev/urandom > {ELSEWHERE}; chown dice-bot:dice-bot {ELSEWHERE}")
    digest = shell(machine, f"sha256sum < {ELSEWHERE}")
    for version in ("1.0.1", "1.0.2", "1.0.3"):
        deployment = fleet.deploy(fleet.release(version, dumping))
        assert deployment.status == Status.SUCCEEDED, deployment.sentence
    found = backups_on(actor=ACTOR, server=fleet.server())
    assert len(found) == 2, "as many as are kept"
    assert [(sorted(one.databases), one.whole, one.size > 3_000_000) for one in found] == [
        (["main", "rolls.db"], True, True)
    ] * 2
    said = rehearse_restore(actor=ACTOR, server=fleet.server(), backup=found[0].name)
    assert "as it was written, and not read in" in said
    shell(machine, f"echo broken > {ELSEWHERE}")
    row = restored(fleet, found[0].name)
    assert row.state == Operation.State.SUCCEEDED, row.sentence
    assert shell(machine, f"sha256sum < {ELSEWHERE}") == digest
    assert shell(machine, f"cat {ELSEWHERE}.by") == "dice-bot"
    assert restored(fleet, row.facts["kept"]).state == Operation.State.SUCCEEDED
    assert shell(machine, f"cat {ELSEWHERE}") == "broken"

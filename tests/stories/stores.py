"""The example bot with its data in SQLite or in PostgreSQL, and what releases of it do to the schema there."""

import json
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sandbox.hosts import Host
from tests.fixtures.fleet import APPLICATION, TREE, Fleet
from tests.project.raised import ROOT
from tests.stories.running import shell, wait_for

DATABASE = f"{TREE}/shared/data/rolls.db"
_OF_SQLITE = '''"""What the releases of the tests do to the schema: whole, and back, and in other ways."""
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
'''
_OF_POSTGRESQL = '''"""The same where a server has the data: what hangs there, with its locks, outlives who asked."""
import os, subprocess, sys

how = sys.argv[2]


def sql(statements):
    command = ["psql", "-qAtX", "-v", "ON_ERROR_STOP=1", "-d", sys.argv[1], "-c", statements]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()


if how == "down":
    sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'migrate'")
    if sql("SELECT 1 FROM pg_tables WHERE tablename = 'doubled'"):
        sql("DROP TABLE doubled; UPDATE rolls SET value = value / 2")
    sys.exit()
os.environ["PGAPPNAME"] = "migrate"
sql("CREATE TABLE doubled (of INTEGER); UPDATE rolls SET value = value * 2")
print("half", os.environ["RELEASE_VERSION"], flush=True)
if how == "fails":
    sys.exit("no such thing")
if how == "hangs":
    sql("BEGIN; LOCK TABLE rolls IN SHARE MODE; SELECT pg_sleep(987)")
'''
_MEMORY = '''class Memory:
    """The number of rolls, kept in PostgreSQL."""

    def __init__(self, path: Path) -> None:
        while subprocess.run(["pg_isready", "-q"]).returncode:
            time.sleep(0.2)
        self._run("CREATE TABLE IF NOT EXISTS rolls (id SERIAL PRIMARY KEY, value INTEGER NOT NULL)")

    def _run(self, statement: str) -> str:
        command = ["psql", "-qAtX", "-v", "ON_ERROR_STOP=1", "-d", "dice", "-c", statement]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=10).stdout

    def add(self, value: int) -> None:
        """Remember one roll."""
        self._run(f"INSERT INTO rolls (value) VALUES ({value})")

    def count(self) -> int:
        """How many rolls there have been."""
        return int(self._run("SELECT count(*) FROM rolls"))


'''


@dataclass(frozen=True)
class Store:
    """Where the bot keeps its data; `contents` and `owner` (of what a migration made) are lines of shell."""

    layer: str
    database: str
    program: str
    contents: str
    owner: str
    lay_out: Callable[[Path], None]

    def rows(self, fleet: Fleet) -> str:
        """Schema and contents of the application's database."""
        return shell(fleet.machines[0], f"runuser -u {APPLICATION} -- {self.contents}")

    def release(
        self, how: str = "", deadline: float = 30, moment: str = "after_activate", *, back: bool = True
    ) -> Callable[[Path], None]:
        """The change of a tree that keeps its data here, with a migration that goes `how`, and a way back."""

        def change(tree: Path) -> None:
            self.lay_out(tree)
            if not how:
                return
            (tree / "dicebot" / "migrate.py").write_text(self.program)
            words = {
                key: ["python", "-m", "dicebot.migrate", self.database, value]
                for key, value in {"command": how, "back": "down"}.items()
                if key == "command" or back
            }
            rows = "\n".join(f"{key} = {json.dumps(value)}" for key, value in words.items())
            _append(tree, f"[hooks.{moment}]\ndeadline = {deadline}\n{rows}\n")

        return change


def _append(tree: Path, table: str) -> None:
    described = tree / "deploy.toml"
    described.write_text(f"{described.read_text()}\n{table}")


def restore_script() -> str:
    """The one that docs/deploy-toml.md prints."""
    found = re.search(
        r"^```bash example\n(.*?)^```", (ROOT / "docs" / "deploy-toml.md").read_text(), re.DOTALL | re.MULTILINE
    )
    assert found is not None
    return found[1]


def _in_postgresql(tree: Path) -> None:
    program = tree / "dicebot" / "__main__.py"
    text = program.read_text()
    before, after = text[: text.index("class Memory:")], text[text.index("class Handler") :]
    program.write_text(
        before.replace("import sqlite3\nimport sys", "import subprocess\nimport sys\nimport time") + _MEMORY + after
    )
    described = tree / "deploy.toml"
    described.write_text(
        described.read_text()
        .replace('databases = ["rolls.db"]\n', "")
        .replace('["dicebot"]', '["dicebot", "restore.sh"]')
    )
    (tree / "restore.sh").write_text(restore_script())
    commands = {"dump": ["pg_dump", "--format=custom", "dice"], "restore": ["bash", "restore.sh"]}
    _append(
        tree, "[roles.bot.dumps.main]\n" + "".join(f"{key} = {json.dumps(words)}\n" for key, words in commands.items())
    )


def empty_postgresql(machine: Host) -> None:
    """The server runs, and the application has an empty database of its own there."""
    wait_for(lambda: shell(machine, "pg_isready -q && echo yes") == "yes", "PostgreSQL to answer")
    made = f"dropdb --if-exists --force dice; createuser {APPLICATION}; createdb --owner {APPLICATION} dice"
    shell(machine, f"systemctl stop {APPLICATION}; runuser -u postgres -- sh -c {shlex.quote(made)}")


_DUMP = f"import sqlite3; print(*sqlite3.connect({DATABASE!r}).iterdump(), sep='\\n')"
SQLITE = Store(
    "bare", "{data}/rolls.db", _OF_SQLITE, f'python3 -c "{_DUMP}"', f"stat -c %U {DATABASE}", lambda tree: None
)
POSTGRESQL = Store(
    "database",
    "dice",
    _OF_POSTGRESQL,
    # a dump begins and ends with a word of chance, and a power cut lets a sequence leave numbers out
    r"pg_dump dice | grep -v -e '^\\\(un\)\?restrict ' -e 'pg_catalog.setval('",
    "runuser -u postgres -- psql -qAtX -d dice -c \"SELECT tableowner FROM pg_tables WHERE tablename = 'doubled'\"",
    _in_postgresql,
)

"""Databases that a portal of its own works on: a SQLite file, or a PostgreSQL server that can be stopped."""

import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from tests.stories.running import wait_for

BECOME = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
"""PostgreSQL does not run as root."""
AWAY_SECONDS = 5.0
"""How long the database is gone."""


class Database(Protocol):
    """What the world needs of a database."""

    url: str

    def start(self) -> None:
        """Make it answer."""

    def stop(self) -> None:
        """End it, with whatever it keeps."""

    @contextmanager
    def away(self) -> Iterator[None]:
        """Nobody can use it, for five seconds, during which the block runs."""
        yield


class SqliteFile:
    """A file. It cannot go away, but somebody may hold it: nobody else can read or write meanwhile."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "portal.sqlite3"
        self.url = f"sqlite:///{self.path}"

    def start(self) -> None:
        """Nothing to do: migrating makes the file."""

    def stop(self) -> None:
        """Nothing runs."""

    @contextmanager
    def away(self) -> Iterator[None]:
        """Held exclusively."""
        ends = time.monotonic() + AWAY_SECONDS
        holder = sqlite3.connect(self.path, timeout=30, isolation_level=None)
        try:
            holder.execute("BEGIN EXCLUSIVE")
            yield
            time.sleep(max(0.0, ends - time.monotonic()))
            holder.execute("ROLLBACK")
        finally:
            holder.close()


class PostgresServer:
    """A server of its own on a free port, run by the user `postgres`; it ends with the tests, however they end."""

    def __init__(self, directory: Path) -> None:
        # not below pytest's directory, which is for its own user alone
        self._directory = Path(tempfile.mkdtemp(prefix="portal-postgres-"))
        shutil.chown(self._directory, "postgres", "postgres")
        self._program = postgres_program()
        self._port = free_port()
        self._server: subprocess.Popen[bytes] | None = None
        self.url = f"postgres://postgres@127.0.0.1:{self._port}/portal"

    def start(self) -> None:
        """Make the cluster at the first time, and have it answer."""
        fresh = not (self._directory / "data").exists()
        if fresh:
            self._as_postgres("initdb", "-D", "data", "-A", "trust", "--no-sync")
        quiet = ["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "fsync=off"]
        with (self._directory / "log").open("ab") as log:
            self._server = subprocess.Popen(
                [*BECOME, "--pdeathsig", "QUIT", str(self._program), "-D", "data", "-p", str(self._port), *quiet],
                cwd=self._directory,
                stdout=log,
                stderr=log,
            )
        wait_for(self._answers, "PostgreSQL to answer", deadline=30)
        if fresh:
            self._as_postgres("createdb", "-h", "127.0.0.1", "-p", str(self._port), "portal")

    def _answers(self) -> bool:
        program = str(self._program.with_name("pg_isready"))
        asked = [program, "-q", "-h", "127.0.0.1", "-p", str(self._port)]
        return subprocess.run(asked, check=False).returncode == 0

    def stop(self) -> None:
        """For good."""
        self._cut()
        shutil.rmtree(self._directory)

    def _cut(self) -> None:
        """As when its machine loses power."""
        if self._server is not None:
            self._server.send_signal(signal.SIGQUIT)
            self._server.wait(30)

    @contextmanager
    def away(self) -> Iterator[None]:
        """Stopped, and started again."""
        ends = time.monotonic() + AWAY_SECONDS
        self._cut()
        try:
            yield
            time.sleep(max(0.0, ends - time.monotonic()))
        finally:
            self.start()

    def _as_postgres(self, program: str, *arguments: str) -> None:
        command = [*BECOME, str(self._program.with_name(program)), *arguments]
        subprocess.run(command, cwd=self._directory, check=True, stdout=subprocess.DEVNULL, timeout=60)


def free_port() -> int:
    """A port on which nobody listens now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def postgres_program() -> Path:
    """Where the newest PostgreSQL's programs are; raises FileNotFoundError where there are none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if not found:
        raise FileNotFoundError("PostgreSQL is not installed")
    return found[-1]


def has_postgres() -> bool:
    """Whether a server of our own can be started here."""
    try:
        postgres_program()
    except FileNotFoundError:
        return False
    return shutil.which("setpriv") is not None


DATABASES: dict[str, Callable[[Path], Database]] = {"sqlite": SqliteFile, "postgres": PostgresServer}

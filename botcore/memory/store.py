"""bot.db: one SQLite connection on one thread, so that no disk ever holds up the event loop."""

from __future__ import annotations

import asyncio
import logging
import os
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

from botcore.errors import MemoryUnusable
from botcore.memory.schema import migrate

log = logging.getLogger(__name__)

BACKLOG = 2000
BUSY_MILLISECONDS = 5000
CLOSE_SECONDS = 2.0
# SQLite would fill 2 MB over the first hours; what is asked of the file needs a few pages.
CACHE_KIBIBYTES = 256

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], object]
_Job = tuple[Work, "Future[Any] | None"]


class Store:
    """Runs functions on the database, in order. Everything that waits is committed in one transaction."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._jobs: queue.Queue[_Job | None] = queue.Queue(BACKLOG)
        self._dropped = 0
        self._complained = False
        self._thread = threading.Thread(target=self._run, name="memory", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """Writes that were not made: the disk is too slow, full or gone."""
        return self._dropped

    def write(self, work: Work) -> None:
        """Queue a write and forget it."""
        self._put((work, None))

    async def run(self, work: Callable[[sqlite3.Connection], T], *, timeout: float) -> T:
        """Run a function and return what it returns, after its commit. Raises MemoryUnusable."""
        future: Future[T] = Future()
        self._put((work, future))
        try:
            async with asyncio.timeout(timeout):
                return await asyncio.wrap_future(future)
        except (TimeoutError, sqlite3.Error, ValueError) as error:
            raise MemoryUnusable("The bot's memory does not answer.", hint="Check the disk of the server.") from error

    def close(self, timeout: float = CLOSE_SECONDS) -> None:
        """Write what is waiting, for so many seconds at most, and close the file."""
        try:
            self._jobs.put(None, timeout=timeout)
        except queue.Full:
            return
        self._thread.join(timeout)

    def _put(self, job: _Job) -> None:
        try:
            self._jobs.put_nowait(job)
        except queue.Full:
            self._dropped += 1
            if job[1] is not None:
                job[1].set_exception(sqlite3.OperationalError("too many writes are waiting"))

    def _run(self) -> None:
        connection = self._open()
        try:
            stopping = False
            while not stopping:
                jobs, stopping = self._next()
                self._commit(connection, jobs)
        finally:
            connection.close()

    def _next(self) -> tuple[list[_Job], bool]:
        jobs: list[_Job] = []
        job = self._jobs.get()
        while job is not None:
            jobs.append(job)
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return jobs, False
        return jobs, True

    def _commit(self, connection: sqlite3.Connection, jobs: list[_Job]) -> None:
        """Run the jobs in one transaction; if that fails, each in its own, so that one bad job loses only itself."""
        results: list[tuple[Future[Any], object]] = []
        try:
            connection.execute("BEGIN")
            for work, future in jobs:
                result = work(connection)
                if future is not None:
                    results.append((future, result))
            connection.execute("COMMIT")
        except Exception as error:  # noqa: BLE001  the thread outlives whatever a job does
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            if len(jobs) > 1:
                for job in jobs:
                    self._commit(connection, [job])
            else:
                self._failed(jobs[0], error)
            return
        self._complained = False
        for future, result in results:
            if future.set_running_or_notify_cancel():
                future.set_result(result)

    def _failed(self, job: _Job, error: Exception) -> None:
        self._dropped += 1
        if not self._complained:
            self._complained = True
            log.error("bot.db cannot be written (%s). The bot goes on without remembering.", error)
        if job[1] is not None and job[1].set_running_or_notify_cancel():
            job[1].set_exception(error)

    def _open(self) -> sqlite3.Connection:
        """The file, or a database that is forgotten at exit when the file cannot be used."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # Before SQLite does it, which leaves the group out: whoever takes backups has to open the file, and its
            # journal files, which get the same mode, for writing. The umask has the last word.
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o660))
            return _connect(str(self._path))
        except (OSError, sqlite3.Error, MemoryUnusable) as error:
            hint = error.hint if isinstance(error, MemoryUnusable) else "Check the file and its folder."
            log.error("bot.db cannot be used (%s). %s Until then nothing is remembered.", error, hint)  # noqa: TRY400  the sentence is enough
            return _connect(":memory:")


def _connect(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, timeout=BUSY_MILLISECONDS / 1000)
    try:
        migrate(connection)  # first: a file that we must not use is not touched
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIBIBYTES}")
    except BaseException:
        connection.close()
        raise
    return connection

"""Logs to stdout, as lines for people or as JSON; chat and media transcripts to rotating files.

All of it is written by one thread, so that a slow disk or journal never holds up the event loop.
"""

from __future__ import annotations

import io
import json
import logging
import logging.handlers
import os
import queue
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from botcore.config import Settings

CHAT, MEDIA = "botcore.transcript.chat", "botcore.transcript.media"
ROTATE_BYTES = 5 * 1024 * 1024
ROTATE_KEEP = 5
BACKLOG = 10_000

# What journald understands at the start of a line, so that `journalctl -p err` finds our errors.
_SYSLOG = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class Plain(logging.Formatter):
    """Time, level, logger and message."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")


class Json(logging.Formatter):
    """One object a line, with whatever was given as `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **{key: value for key, value in vars(record).items() if key not in _STANDARD},
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


class Journal(logging.Formatter):
    """Another format behind journald's priority prefix; a journal needs no time of ours."""

    def __init__(self, inner: logging.Formatter) -> None:
        super().__init__()
        self._inner = inner

    def format(self, record: logging.LogRecord) -> str:
        """Every line with the priority."""
        prefix = f"<{_SYSLOG.get(record.levelno, 6)}>"
        return "\n".join(prefix + line for line in self._inner.format(record).splitlines())


class _Transcript(logging.handlers.RotatingFileHandler):
    """Opened at the first line; a full disk loses transcript lines and nothing else."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        super().__init__(
            path,
            maxBytes=ROTATE_BYTES,
            backupCount=ROTATE_KEEP,
            delay=True,
            encoding="utf-8",
            errors="backslashreplace",
        )
        self.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        self._complained = False

    def handleError(self, record: logging.LogRecord) -> None:
        """Say it once: the console is another file."""
        if not self._complained:
            self._complained = True
            logging.getLogger(__name__).error("%s cannot be written; its lines are lost", self.baseFilename)


class _Queue(logging.handlers.QueueHandler):
    """Hands records over as they are, and drops them when the writer is too far behind."""

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        """Settle the message now, since its arguments may change; keep the rest for the formatter."""
        record.msg, record.args = record.getMessage(), None
        return record

    def enqueue(self, record: logging.LogRecord) -> None:
        """Never block."""
        try:
            self.queue.put_nowait(record)
        except queue.Full:
            return


class Logs:
    """The logging of one process. `close` writes what is still waiting."""

    def __init__(self, settings: Settings, environ: Mapping[str, str] = os.environ) -> None:
        self._listeners: list[logging.handlers.QueueListener] = []
        self._formatter(settings, environ)
        root = logging.getLogger()
        root.handlers[:] = [self._start(self._console)]
        self.level(settings.log_level)
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # it warns of every request that waits a moment
        for noisy in ("waitress", "socketio", "engineio", "aiohttp", "asyncio"):
            logging.getLogger(noisy).setLevel(logging.WARNING)
        for name, file in ((CHAT, settings.chat_log), (MEDIA, settings.media_log)):
            transcript = logging.getLogger(name)
            transcript.propagate = False
            transcript.setLevel(logging.INFO)
            transcript.handlers[:] = (
                [logging.NullHandler()]
                if file is None
                else [self._start(_Transcript(settings.data_dir / "logs" / file))]
            )

    def level(self, name: str) -> None:
        """Set the level; transcripts have none."""
        logging.getLogger().setLevel(name)

    def close(self) -> None:
        """Write what is waiting and stop."""
        for listener in reversed(self._listeners):  # the console last: the others may have something to say
            listener.stop()
            for handler in listener.handlers:
                handler.close()
        logging.getLogger().handlers[:] = []

    def _formatter(self, settings: Settings, environ: Mapping[str, str]) -> None:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")
        self._console = logging.StreamHandler(sys.stdout)
        formatter: logging.Formatter = Json() if settings.log_format == "json" else Plain()
        self._console.setFormatter(Journal(formatter) if "JOURNAL_STREAM" in environ else formatter)

    def _start(self, handler: logging.Handler) -> _Queue:
        waiting: queue.Queue[logging.LogRecord] = queue.Queue(BACKLOG)
        listener = logging.handlers.QueueListener(waiting, handler)
        listener.start()
        self._listeners.append(listener)
        return _Queue(waiting)

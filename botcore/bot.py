"""The bot: its parts put together, started, reloaded and stopped."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from botcore import release
from botcore.config import Settings
from botcore.credentials import Credentials
from botcore.cytube.backoff import Backoff
from botcore.cytube.connection import Connection, pacing
from botcore.cytube.outbox import Outbox
from botcore.cytube.session import Session
from botcore.dispatcher import Dispatcher
from botcore.events import Events
from botcore.health.document import Snapshot
from botcore.heartbeat import Heartbeat
from botcore.leadership import Leadership
from botcore.memory.journal import OutboundJournal
from botcore.memory.store import Store
from botcore.recorder import Recorder
from botcore.response_time import ResponseTime
from botcore.room import Room
from botcore.service import Service
from botcore.status import Status
from botcore.telemetry import TICK_SECONDS, Telemetry

log = logging.getLogger(__name__)

# Five seconds from SIGTERM to the end: orders, then what there is to say about them, then the goodbye.
FINISH_SECONDS = 3.0
SPEAK_SECONDS = 1.0
GOODBYE_SECONDS = 2.5
JOB_PAUSE_SECONDS = 1.0
# A thread that computes gives way to the event loop after so long; Python's default of 5 ms would be felt.
SWITCH_SECONDS = 0.001
_EMPTY = Room()


class Bot:
    """Everything that lives on the event loop. `run` returns after `stop`."""

    def __init__(
        self,
        settings: Settings,
        credentials: Credentials,
        *,
        telemetry: Telemetry,
        service: Service | None = None,
        pacing: Callable[[Settings], Backoff] = pacing,
    ) -> None:
        self.settings = settings
        self.telemetry = telemetry
        self.service = service or Service({})
        self.version, self.release = release.version(), release.release_id()
        self.store = Store(settings.data_dir / "bot.db")
        self.journal = OutboundJournal(self.store)
        self.outbox = Outbox(lambda: self.connection.session, journal=self.journal)
        self.leadership = Leadership(self.outbox)
        self.response_time = ResponseTime(self.outbox, lambda: self.connection.session, telemetry)
        self.recorder = Recorder(self.store)
        self.dispatcher = Dispatcher(
            outbox=self.outbox,
            leadership=self.leadership,
            recorder=self.recorder,
            store=self.store,
            telemetry=telemetry,
            snapshot=self.snapshot,
        )
        self.events = Events(telemetry)
        self.events.subscribe(self._late_echo)
        self.events.subscribe(self.leadership.heard)
        self.events.subscribe(self.recorder.heard)
        self.events.subscribe(self.dispatcher.heard)
        self.connection = Connection(
            settings, credentials, listener=self.events, telemetry=telemetry, changed=self._changed, pacing=pacing
        )
        self.heartbeat = Heartbeat(snapshot=self.snapshot, telemetry=telemetry)
        self.heartbeat.aim(settings.portal_url, credentials.portal_token)
        self._resumed = False
        self._stopping = asyncio.Event()

    def snapshot(self) -> Snapshot:
        """What health reports; may be called from any thread."""
        session = self.connection.session
        return Snapshot(
            status=self.connection.status,
            room=session.room if session else _EMPTY,
            channel=session.identity.channel if session else self.settings.channel.name,
            version=self.version,
            release=self.release,
            telemetry=self.telemetry,
            queue_length=len(self.outbox),
            dropped_writes=self.store.dropped,
        )

    def reload(self, settings: Settings, credentials: Credentials) -> None:
        """Use new settings: timeouts, account, channel and delays from the next session on, the portal at once.

        Where health listens and where the data lies stay as they are until a restart.
        """
        self.settings = self.settings.model_copy(
            update={
                name: getattr(settings, name)
                for name in type(settings).model_fields
                if name not in {"health", "data_dir", "chat_log", "media_log"}
            }
        )
        self.connection.reload(self.settings, credentials)
        self.heartbeat.aim(settings.portal_url, credentials.portal_token)

    def stop(self) -> None:
        """Finish what fits into a few seconds, leave the channel and end `run`."""
        self._stopping.set()

    async def run(self) -> None:
        """Work until `stop` is called."""
        sys.setswitchinterval(SWITCH_SECONDS)
        asyncio.get_running_loop().set_exception_handler(self._lost_exception)
        jobs: list[Callable[[], Coroutine[Any, Any, None]]] = [
            self._tick,
            self.connection.run,
            self._speak,
            self.dispatcher.run,
            self.leadership.run,
            self.response_time.run,
            self.recorder.run,
            self.heartbeat.run,
        ]
        tasks = [asyncio.create_task(self._keep(job)) for job in jobs]
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await stopping
            self.service.stopping()
            await self.dispatcher.finish(FINISH_SECONDS)
            await self.outbox.drain(SPEAK_SECONDS)
        finally:
            await self._close([stopping, *tasks])

    async def _close(self, tasks: list[asyncio.Task[Any]]) -> None:
        self.service.status("leaving the channel")
        for task in tasks:
            task.cancel()
        left = asyncio.wait(tasks, timeout=GOODBYE_SECONDS)
        await asyncio.gather(left, self.heartbeat.goodbye(), return_exceptions=True)
        self.recorder.left()
        await asyncio.to_thread(self.store.close)

    async def _keep(self, job: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a job, and again when it fails: one broken part must not stop the others."""
        while True:
            try:
                await job()
            except Exception:
                self.telemetry.failed("job")
                log.exception("%s failed and starts again", job.__qualname__)
            await asyncio.sleep(JOB_PAUSE_SECONDS)

    async def _speak(self) -> None:
        if not self._resumed:
            self._resumed = True
            for message in await self.journal.unsaid():
                self.outbox.put(message)
        await self.outbox.run()

    def _changed(self, status: Status) -> None:
        self.outbox.wake()
        self.response_time.changed()
        self.heartbeat.changed()
        if status.connected:
            self.service.status(f"in the room {self.settings.channel.name} as {self.settings.user.name}")
        else:
            self.recorder.left()
            self.service.status(f"not connected: {status.reason}")

    def _late_echo(self, session: Session, event: str, data: Any, _before: Room) -> None:
        self.outbox.heard(event, data, own_name=session.name)

    async def _tick(self) -> None:
        """Prove that the event loop turns, to health and to systemd's watchdog."""
        every = self.service.watchdog_seconds / 4
        beaten = 0.0
        while True:
            self.telemetry.tick()
            if every and self.telemetry.last_tick - beaten >= every:
                beaten = self.telemetry.last_tick
                self.service.alive()
            await asyncio.sleep(TICK_SECONDS)

    def _lost_exception(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """An exception nobody waited for: a frame the socket library could not take, for example."""
        error = context.get("exception")
        self.telemetry.rejected["frame"] += 1
        if self.telemetry.rejected["frame"] == 1:
            log.warning("ignored from now on: %s (%s)", context.get("message"), error)

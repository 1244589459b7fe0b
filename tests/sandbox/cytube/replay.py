"""Plays the recording to a sandbox server: sends what was sent, when it was sent, and keeps what comes back.

The server's clock is moved by hand, so that two and a half minutes pass in seconds. Where the recorded server took a
moment to notice something, the clock is moved to that moment first.
"""

import asyncio
import difflib
import random
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import aiohttp

from sandbox.cytube import Account, AddressLimits, Channel, CytubeServer, ManualClock, Media, ServerConfig, Viewer
from sandbox.cytube.errors import NoAnswer, ViewerError
from tests.sandbox.cytube.recording import Entry, heard, steady

ACCOUNTS = (
    Account("TestBot", "password", rank=3),
    Account("TestMod", "password", rank=2),
    Account("TestUser", "password"),
    Account("ChanBoss", "password", rank=5),
)
DEMO = (
    Media("dQw4w9WgXcQ", "Demo one", 8),
    Media("aaaaaaaaaaa", "Demo two", 212),
    Media("bbbbbbbbbbb", "Demo three & <b>html</b>", 3725),
)
#: What the recorded server's shuffle made of the list.
SHUFFLED = ("Custom embed", "Demo one", "Twitch.tv - somestreamer", "Demo three & <b>html</b>")
#: Recorded clients that hung up before they had read what the server had sent them already.
HUNG_UP_FIRST = (("boss", 79942.2),)
#: Longest time in ms within which what follows is taken for the answer.
ANSWER_MS = 100
#: What comes from a timer may have been recorded this many ms before our timer, which starts a little later, runs out.
TIMER_MS = 20
#: Seconds to wait for an event that the recording has; after a first miss the replay is lost and hurries.
TIMEOUT = 5.0
HURRY = 0.05


class RecordedShuffle(random.Random):
    """Shuffles as the recorded server did."""

    def shuffle(self, x: Any) -> None:
        x.sort(key=lambda item: SHUFFLED.index(item.media.title))


def config(clock: ManualClock) -> ServerConfig:
    """The recorded server."""
    playlists = {"demo": DEMO}
    return ServerConfig(
        channels=tuple(Channel(name, playlists=playlists) for name in ("testroom", "pwroom", "floodroom")),
        accounts=ACCOUNTS,
        address_limits=AddressLimits(),
        lost_join_window=0.02,
        login_cost=4,
        clock=clock,
        random=RecordedShuffle(),
    )


class Replay:
    """One run. ``differences`` has the lines of a diff for every scenario that did not go as recorded."""

    def __init__(self, entries: list[Entry]) -> None:
        self.differences: dict[str, list[str]] = defaultdict(list)
        self.compared = 0
        self._entries = entries
        self._clock = ManualClock()
        self._elapsed = 0.0
        self._server = CytubeServer(config(self._clock))
        self._viewers: dict[str, Viewer] = {}
        self._streams: dict[str, list[Viewer]] = defaultdict(list)
        self._expected: dict[str, int] = defaultdict(int)
        self._timeout = TIMEOUT

    async def run(self) -> None:
        """Play everything and compare."""
        await self._server.start()
        try:
            for number, entry in enumerate(self._entries):
                await self._step(number, entry)
            self._compare()
        finally:
            for viewers in self._streams.values():
                for viewer in viewers:
                    await viewer.leave()
            await self._server.stop()

    async def _step(self, number: int, entry: Entry) -> None:
        self._move_clock(self._answered_at(number))
        if entry.dir == "note":
            await self._note(entry)
        elif entry.client == "http":
            await self._fetch(entry)
        elif entry.dir == "out":
            await self._send(number, entry)
        elif entry.event == "<connect>" and self._viewers[entry.client].disconnected:
            await self._open(entry, ip="10.0.0.99")
        elif entry in heard([entry]):
            await self._await(entry)

    async def _note(self, entry: Entry) -> None:
        if entry.event == "stop.sh cytube":
            await self._server.stop()
        elif entry.event == "start.sh":
            await self._server.start()

    async def _fetch(self, entry: Entry) -> None:
        path = entry.event.removeprefix("GET ")
        async with aiohttp.ClientSession() as http, http.get(f"{self._server.url}{path}") as response:
            answer = {"status": response.status, "body": await response.json()}
        if steady(answer) != steady(entry.data):
            self.differences[entry.scenario].append(f"{path}: {answer}")

    async def _send(self, number: int, entry: Entry) -> None:
        if entry.event == "<open>":
            await self._open(entry, ip=entry.data["x_forwarded_for"], transports=tuple(entry.data["transports"]))
            return
        viewer = self._viewers[entry.client]
        if entry.event == "<close>":
            await self._close(entry, viewer)
        elif entry.event == "newPoll":
            answer = await viewer.call(entry.event, entry.data)
            recorded = next(each for each in self._entries[number:] if each.event == "<ack of newPoll>")
            if [answer] != recorded.data:
                self.differences[entry.scenario].append(f"newPoll was acknowledged with {answer}")
        elif viewer.disconnected is None:
            before = self._server.received
            await viewer.emit(entry.event, entry.data)
            await self._until(lambda: self._server.received > before, entry)

    async def _until(self, happened: Callable[[], bool], entry: Entry) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                while not happened():
                    await asyncio.sleep(0)
        except TimeoutError:
            self._timeout = HURRY
            self.differences[entry.scenario].append(f"The server never saw {entry.client}'s {entry.event}.")

    async def _close(self, entry: Entry, viewer: Viewer) -> None:
        before = self._server.connections
        await viewer.leave()
        await self._until(lambda: self._server.connections < before, entry)
        if (entry.client, entry.ms) in HUNG_UP_FIRST:
            read = self._expected[entry.client] - sum(len(other.heard) for other in self._streams[entry.client][:-1])
            viewer.heard[read:] = [each for each in viewer.heard[read:] if each.event == "<disconnect>"]

    async def _open(self, entry: Entry, *, ip: str, transports: tuple[str, ...] = ("websocket",)) -> None:
        viewer = Viewer(ip=ip)
        refused = next(
            each
            for each in self._entries[self._entries.index(entry) :]
            if each.client == entry.client and each.event in ("<connect>", "<connect_error>")
        )
        try:
            await viewer.connect(self._server.url, "testroom", transports=transports)
        except ViewerError as error:
            if refused.event != "<connect_error>" or refused.data["message"] != error.reason:
                self.differences[entry.scenario].append(f"{entry.client} was refused: {error}")
            return
        if refused.event == "<connect_error>":
            self.differences[entry.scenario].append(f"{entry.client} was let in")
        self._viewers[entry.client] = viewer
        self._streams[entry.client].append(viewer)

    async def _await(self, entry: Entry) -> None:
        if entry.event == "<disconnect>" and entry.data == "transport error" and self._server.connections:
            await self._server.restart()
        self._expected[entry.client] += 1
        viewer, others = self._streams[entry.client][-1], self._streams[entry.client][:-1]
        missing = self._expected[entry.client] - sum(len(other.heard) for other in others)
        try:
            await viewer.has_heard(missing, deadline=self._timeout)
        except NoAnswer:
            self._timeout = HURRY

    def _answered_at(self, number: int) -> float:
        entry = self._entries[number]
        if entry.dir == "out":
            for later in self._entries[number + 1 :]:
                if later.ms - entry.ms > ANSWER_MS or later.event == "<open>":
                    break
                if later.dir == "in" and not later.event.startswith("<"):
                    return later.ms
        return entry.ms + (TIMER_MS if entry.event in ("usercount", "mediaUpdate") else 0)

    def _move_clock(self, ms: float) -> None:
        if ms > self._elapsed:
            self._clock.advance((ms - self._elapsed) / 1000)
            self._elapsed = ms

    def _compare(self) -> None:
        for client, viewers in self._streams.items():
            recorded = [each for each in heard(self._entries) if each.client == client]
            wanted = [f"{each.event} {steady(each.data)}" for each in recorded]
            self.compared += len(wanted)
            got = [f"{each.event} {steady(each.data)}" for viewer in viewers for each in viewer.heard]
            for tag, low, high, start, end in difflib.SequenceMatcher(None, wanted, got, autojunk=False).get_opcodes():
                if tag != "equal":
                    place = recorded[min(low, len(recorded) - 1)].scenario if recorded else self._entries[-1].scenario
                    self.differences[place] += [f"{client} - {line}" for line in wanted[low:high]]
                    self.differences[place] += [f"{client} + {line}" for line in got[start:end]]

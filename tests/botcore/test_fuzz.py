"""Whatever a server sends: no exception escapes, the bot stays in the room, health stays true."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from botcore.bot import Bot
from botcore.cytube.session import Identity, Session
from botcore.errors import EventError, MalformedEvent
from botcore.events import Events
from botcore.health.document import HealthDocument
from botcore.room import REDUCERS, Room, reduce
from botcore.telemetry import Telemetry
from sandbox.cytube import CytubeServer
from tests.botcore import recording
from tests.botcore.running import running, settings_for, until

NAMES = st.sampled_from(sorted(REDUCERS)) | st.text(max_size=20)
TEXT = st.text(st.characters(exclude_categories=()), max_size=20)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXT
WORDS = """name rank meta afk muted smuted aliases ip profile uid item media id type title seconds duration after from
temp queueby currentTime paused count need rawTime msg username to time reason success error counts options css js image
old text"""
KEYS = st.sampled_from(WORDS.split()) | TEXT
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=5), max_leaves=12
)
REAL = [(e.event, e.data) for e in recording.entries() if e.direction == "in" and e.event in REDUCERS]


@st.composite
def damaged(draw: st.DrawFn) -> tuple[str, Any]:
    """A real event with one part replaced or taken away."""
    event, data = draw(st.sampled_from(REAL))
    return event, _damage(draw, data)


def _damage(draw: st.DrawFn, data: Any) -> Any:
    if isinstance(data, Mapping) and data and draw(st.booleans()):
        key = draw(st.sampled_from(sorted(data)))
        rest = {name: value for name, value in data.items() if name != key}
        return rest if draw(st.booleans()) else {**rest, key: _damage(draw, data[key])}
    if isinstance(data, list) and data and draw(st.booleans()):
        index = draw(st.integers(0, len(data) - 1))
        return [*data[:index], _damage(draw, data[index]), *data[index + 1 :]]
    return draw(JSON)


EVENTS = st.tuples(NAMES, JSON) | damaged() | st.sampled_from(REAL)


def assert_sound(room: Room) -> None:
    """Every value has the type that the model says, every number is finite, every text can be written."""
    repr(room).encode()
    for user in room.users.values():
        assert all(isinstance(flag, bool) for flag in (user.afk, user.muted, user.shadow_muted))
        assert math.isfinite(user.rank)
    for item in room.playlist:
        assert isinstance(item.uid, int)
        assert isinstance(item.temp, bool)
        assert math.isfinite(item.media.seconds)
    assert all(math.isfinite(rank) for rank in (room.rank, *room.permissions.values()))
    assert isinstance(room.locked, bool)
    assert room.user_count >= 0


@settings(max_examples=600, deadline=None)
@given(st.lists(EVENTS, max_size=12))
def test_the_state_takes_it_or_refuses_it_and_raises_nothing_else(events: list[tuple[str, Any]]) -> None:
    room = Room()
    for event, data in events:
        before = repr(room)
        try:
            after = reduce(room, event, data)
        except EventError:
            after = room
        assert repr(room) == before
        room = after
        assert all(key == user.name.lower() for key, user in room.users.items())
        assert_sound(room)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 10**400, True, "1", None, [], {}])
@pytest.mark.parametrize(
    ("event", "shape"),
    [
        ("rank", lambda value: value),
        ("setUserRank", lambda value: {"name": "Alice", "rank": value}),
        ("setPlaylistMeta", lambda value: {"rawTime": value}),
        ("mediaUpdate", lambda value: {"currentTime": value}),
        ("setPermissions", lambda value: {"kick": value}),
    ],
)
def test_what_is_no_number_is_refused(event: str, shape: Callable[[Any], Any], value: Any) -> None:
    with pytest.raises(MalformedEvent):
        reduce(Room(), event, shape(value))


def document_is_true(document: HealthDocument) -> None:
    assert set(document) == {"status", "connected", "channel", "uptime", "version", "user_count", "requests", "errors"}
    assert document["status"] == ("connected" if document["connected"] else "disconnected")
    assert document["user_count"] >= 0
    assert document["errors"] >= 0


async def test_every_part_of_the_bot_outlives_fuzzed_events(server: CytubeServer, tmp_path: Path) -> None:
    """Events go through the whole bot: session, outbox, dispatcher, recorder, transcripts, memory."""
    changes = {"chat_log": "chat.log", "media_log": "media.log"}
    async with running(settings_for(server, tmp_path, **changes)) as one:
        await one.in_room()
        session = one.bot.connection.session
        assert session is not None
        await asyncio.to_thread(_throw, one.bot, session, asyncio.get_running_loop())
        await until(lambda: not len(one.bot.outbox), deadline=30)
        assert one.connected
        document_is_true(one.bot.snapshot().document())
        assert "handler" not in one.bot.telemetry.errors
        assert "exception" not in one.bot.telemetry.errors
        assert "job" not in one.bot.telemetry.errors
        assert one.bot.store.dropped == 0


def _throw(bot: Bot, session: Session, loop: asyncio.AbstractEventLoop) -> None:
    @settings(max_examples=400, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(EVENTS)
    def throw(event: tuple[str, Any]) -> None:
        name, data = event
        if name == "kick":
            return  # a kick is believed, whatever its reason: that is another test
        done = asyncio.run_coroutine_threadsafe(_receive(session, name, data), loop)
        done.result(timeout=60)
        document_is_true(bot.snapshot().document())

    throw()


async def _receive(session: Session, event: str, data: Any) -> None:
    session.received(event, data)


@settings(max_examples=200, deadline=None)
@given(JSON)
def test_a_kick_of_any_shape_ends_the_session_or_is_refused(data: Any) -> None:
    async def kicked() -> None:
        session = Session(Identity("room", None, "Bot", None), _Quiet(), timeout=1)
        session.received("kick", data)
        assert session.ended.done() is isinstance(data, dict)

    asyncio.run(kicked())


class _Quiet:
    def heard(self, session: Session, event: str, data: Any, before: Room) -> None:
        """Nothing to do."""

    def rejected(self, event: str, error: Any) -> None:
        """Nothing to do."""


@settings(max_examples=50, deadline=None)
@given(st.lists(EVENTS, max_size=30))
def test_refused_events_are_counted_under_few_labels(events: list[tuple[str, Any]]) -> None:
    telemetry = Telemetry()
    watched = Events(telemetry)
    for event, data in events:
        try:
            reduce(Room(), event, data)
        except EventError as error:
            watched.rejected(event, error)
    assert set(telemetry.events) <= {*REDUCERS, "other"}
    assert set(telemetry.rejected) <= {"unknown_event", "malformed_event"}

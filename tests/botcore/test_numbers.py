"""What the bot says in numbers is measured, right at once, and by clocks that nobody can set."""

from __future__ import annotations

import functools
import sqlite3
import time
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from botcore import response_time
from botcore.cytube.session import Session
from botcore.health.metrics import render
from botcore.memory import people
from botcore.memory.store import Store
from botcore.recorder import Recorder
from botcore.room import Room, User
from botcore.telemetry import ANSWERS_KEPT, Telemetry
from sandbox.cytube import CytubeServer, Viewer
from tests.botcore.running import Running, running, settings_for, until
from tests.botcore.test_commands import ask

DAY = 86_400.0


def _sessions(bot: Running, number: int) -> bool:
    return bot.bot.telemetry.sessions == number


def measured(bot: Running) -> int:
    return sum(bot.bot.telemetry.responses.counts)


async def test_the_user_count_is_right_at_once_after_a_reconnect(server: CytubeServer, tmp_path: Path) -> None:
    """CyTube sends its count at most every ten seconds: six people there, and `user_count` said 0 for 9.3 s."""
    crowd = server.crowd()
    for name in ("Ann", "Ben", "Cem", "Dee", "", ""):
        crowd.enter(name)
    async with running(settings_for(server, tmp_path), fast=True) as one:
        await one.in_room()
        await until(lambda: one.bot.snapshot().document()["user_count"] == 7, deadline=60)
        for session in (2, 3):
            server.drop_connections()
            await until(functools.partial(_sessions, one, session))
            assert one.connected
            assert one.bot.snapshot().document()["user_count"] == 7
            assert b"\nbot_users 7.0" in render(one.bot.snapshot())


async def test_names_alone_are_counted_before_the_first_count(server: CytubeServer, tmp_path: Path) -> None:
    crowd = server.crowd()
    for name in ("Ann", "Ben", "Cem"):
        crowd.enter(name)
    async with running(settings_for(server, tmp_path)) as one:
        await one.in_room()
        assert one.bot.snapshot().document()["user_count"] == 4


async def test_the_response_time_is_asked_for_and_follows_the_server(
    server: CytubeServer, bot: Running, mod: Viewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await until(lambda: measured(bot) == 1)
    quick = bot.bot.snapshot().response_ms
    assert quick is not None
    monkeypatch.setattr(response_time, "EVERY_SECONDS", 0.01)
    bot.bot.response_time.changed()
    server.delay(quick + 200)
    await until(lambda: measured(bot) > ANSWERS_KEPT + 2, deadline=30)
    slow = bot.bot.snapshot().response_ms
    assert slow is not None
    assert slow >= quick + 150, "nobody gave an order meanwhile"
    assert bot.bot.telemetry.error_count == 0
    assert "nine times of ten within" in await ask(mod, "status", deadline=60)
    assert not server.pm_log or all(line.to != line.username for line in server.pm_log)


async def test_a_question_without_an_answer_counts_as_the_whole_wait(server: CytubeServer, tmp_path: Path) -> None:
    async with running(settings_for(server, tmp_path, response_timeout=0.2)) as one:
        await one.in_room()
        await until(lambda: measured(one) == 1)
        server.room().handlers["pm"] = lambda _session, _data: None
        one.bot.response_time.changed()
        await until(lambda: measured(one) == 2)
        assert one.bot.telemetry.response(1.0) == pytest.approx(0.2)


def test_percentiles_are_those_of_the_latest_answers() -> None:
    counted = Telemetry()
    assert counted.response(0.5) is None
    for number in range(100):
        counted.answered(number / 1000)
    assert counted.response(0.5) == pytest.approx(0.090)
    assert counted.response(0.9) == pytest.approx(0.098)
    assert counted.response(1.0) == pytest.approx(0.099)


def _person(connection: sqlite3.Connection, *, name: str) -> people.Person | None:
    return people.find(connection, name)


async def test_a_clock_that_is_set_makes_nobody_present_for_half_a_year(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "bot.db")
    watching = Recorder(store)
    step, real = 0.0, time.time
    monkeypatch.setattr(time, "time", lambda: real() + step)

    def follow(*names: str) -> None:
        room = Room(listed=True, users={name.lower(): User(name, 1.0) for name in names})
        watching.heard(cast("Session", SimpleNamespace(room=room)), "userlist", [], room)

    for jump in (180 * DAY, -360 * DAY):
        follow("Ann", "Ben")
        step += jump
        follow("Ben")
        step -= jump / 2
        watching.flush()
    known = [await store.run(functools.partial(_person, name=name), timeout=5) for name in ("Ann", "Ben")]
    assert all(person is not None and 0 <= person.seconds < 60 for person in known), known
    store.close()

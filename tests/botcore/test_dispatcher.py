"""Nobody waits for another's slow order, and a stop leaves nobody in the dark."""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from botcore import bot as bot_module
from botcore.cytube.message import cooldown
from botcore.dispatcher import BACKLOG
from sandbox.cytube import SANDBOX_PASSWORD, CytubeServer, Viewer
from tests.botcore.running import CHANNEL, NAME, Running, moderator, running, secrets, settings_for, until
from tests.botcore.test_commands import ask, filled


class SlowLookUp:
    """CyTube asks another site about a link: the answer comes when `answer` is called, and the list waits for it."""

    def __init__(self, server: CytubeServer) -> None:
        self._handlers = server.room().handlers
        self._real = {event: self._handlers[event] for event in ("queue", "delete", "moveMedia")}
        self.held: list[tuple[str, Any, object]] = []
        for event in self._real:
            self._handlers[event] = functools.partial(self._hold, event)

    def _hold(self, event: str, session: Any, data: object) -> None:
        self.held.append((event, session, data))

    def answer(self) -> None:
        self._handlers.update(self._real)
        for event, session, data in self.held:
            self._real[event](session, data)


@pytest.fixture
async def owner(server: CytubeServer, bot: Running) -> AsyncIterator[Viewer]:
    viewer = await moderator(server, name="Owner")
    await until(lambda: bot.bot.snapshot().room.user("Owner") is not None)
    yield viewer
    await viewer.leave()


def answers(viewer: Viewer) -> list[str]:
    return [str(each.data["msg"]) for each in viewer.heard if each.event == "pm" and each.data["username"] == NAME]


def not_done(told: str) -> str:
    """Of what was told at a stop, the part about what was not begun."""
    return told.partition("Not done: ")[2]


async def test_a_long_look_up_holds_up_nobody_else(
    server: CytubeServer, bot: Running, mod: Viewer, owner: Viewer
) -> None:
    await filled(mod, bot)
    viewer = await Viewer.join(server.url, CHANNEL, "Viewer", SANDBOX_PASSWORD)
    await until(lambda: bot.bot.snapshot().room.user("Viewer") is not None)
    slow = SlowLookUp(server)
    mod.forget()
    await mod.pm(NAME, "add tw:slowsite")
    await until(lambda: slow.held)
    assert await ask(owner, "kick Viewer") == "Viewer was kicked."
    assert await ask(owner, "say hello") == "Said."
    assert (await ask(owner, "next")).startswith("Playing")
    assert (await ask(owner, "pause")).startswith("Paused")
    assert await ask(owner, "pause") == "Going on."
    assert not any("Added" in answer and "slowsite" in answer for answer in answers(mod))
    slow.answer()
    assert "slowsite" in str((await mod.wait_for("pm", lambda line: line["username"] == NAME))["msg"])
    assert bot.bot.telemetry.error_count == 0
    await viewer.leave()


async def test_the_list_waits_for_the_look_up_as_on_the_server_and_playback_does_not(
    server: CytubeServer, bot: Running, mod: Viewer, owner: Viewer
) -> None:
    await filled(mod, bot)
    slow = SlowLookUp(server)
    owner.forget()
    await mod.pm(NAME, "add tw:slowsite")
    await owner.pm(NAME, "remove 3")
    await until(lambda: len(slow.held) == 2)
    server.crowd().enter("Third", rank=2)
    await until(lambda: bot.bot.snapshot().room.user("Third") is not None)
    playing = server.room().player.current_uid
    server.crowd().pm("Third", NAME, "next")
    await until(lambda: server.room().player.current_uid != playing)
    await asyncio.sleep(bot.bot.settings.response_timeout * 1.5)
    slow.answer()
    assert str((await owner.wait_for("pm", lambda line: line["username"] == NAME))["msg"]).startswith(
        "Removed: Demo three"
    )
    assert bot.bot.telemetry.error_count == 0


async def test_each_persons_orders_keep_their_order(
    server: CytubeServer, bot: Running, mod: Viewer, owner: Viewer
) -> None:
    slow = SlowLookUp(server)
    await mod.pm(NAME, "add tw:slowsite")
    for number in range(5):
        await mod.pm(NAME, f"say mod {number}")
    await until(lambda: slow.held)
    for number in range(5):
        await owner.pm(NAME, f"say owner {number}")
    await until(lambda: len(server.chat_log) == 5)
    assert [line.text for line in server.chat_log] == [f"owner {number}" for number in range(5)]
    slow.answer()
    await until(lambda: len(server.chat_log) == 10)
    assert [line.text for line in server.chat_log][5:] == [f"mod {number}" for number in range(5)]


async def test_who_lost_the_rank_meanwhile_is_not_obeyed(
    server: CytubeServer, bot: Running, mod: Viewer, owner: Viewer
) -> None:
    slow = SlowLookUp(server)
    await mod.pm(NAME, "add tw:slowsite")
    await mod.pm(NAME, "say still here")
    await until(lambda: slow.held)
    await owner.emit("setChannelRank", {"name": "Moderator", "rank": 1})
    await until(lambda: (user := bot.bot.snapshot().room.user("Moderator")) and user.rank == 1)
    slow.answer()
    await until(lambda: bot.bot.telemetry.commands[("say", "silent")] == 1)
    assert not server.chat_log


def test_a_flood_answer_belongs_to_what_it_is_about() -> None:
    too_quick = {"msg": "You are adding videos too quickly"}
    assert cooldown("queue", "cooldown", 100) is None
    assert cooldown("chatMsg", "queueFail", too_quick) is None
    assert cooldown("queue", "queueFail", too_quick) is not None
    assert cooldown("chatMsg", "cooldown", 100) is not None


async def test_a_full_backlog_is_said(server: CytubeServer, bot: Running, mod: Viewer) -> None:
    slow = SlowLookUp(server)
    await mod.pm(NAME, "add tw:slowsite")
    await until(lambda: slow.held)
    session, room = bot.bot.connection.session, bot.bot.snapshot().room
    assert session is not None
    for number in range(BACKLOG + 1):
        bot.bot.dispatcher.heard(session, "pm", {"username": "Moderator", "msg": f"say {number}"}, room)
    answer = await mod.wait_for("pm", lambda line: line["username"] == NAME)
    assert answer["msg"] == f"{BACKLOG} orders of yours are waiting; this one was dropped: say {BACKLOG}"


async def test_a_stop_says_what_was_not_done(
    server: CytubeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(bot_module, "FINISH_SECONDS", 0.5)
    caplog.set_level(logging.INFO, logger="botcore")
    crowd = server.crowd()
    orders = [f"say line {number};" for number in range(40)]
    async with running(settings_for(server, tmp_path)) as one:
        await one.in_room()
        for name in ("Talker", "Adder"):
            crowd.enter(name, rank=2)
        await until(lambda: len(one.bot.snapshot().room.users) == 3)
        slow = SlowLookUp(server)
        crowd.pm("Adder", NAME, "add tw:slowsite")
        for order in orders:
            crowd.pm("Talker", NAME, order)
        await until(lambda: slow.held and server.chat_log)
        began = time.monotonic()
    assert time.monotonic() - began < 5
    said = [line.text for line in server.chat_log]
    told = {name: " ".join(line.text for line in server.pm_log if line.to == name) for name in ("Talker", "Adder")}
    assert "I am being stopped. · Cut short, perhaps done in part: add tw:slowsite" in told["Adder"]
    assert said == [f"line {number};" for number in range(len(said))], "in order, nothing twice"
    undone = [order for order in orders if order in not_done(told["Talker"])]
    assert undone == orders[-len(undone) :], "said or told, never both"
    assert len(said) + len(undone) + ("Cut short" in told["Talker"]) >= len(orders)
    assert not set(said) & {order.removeprefix("say ") for order in undone}
    stopped = len(undone) + 1 + ("Cut short" in told["Talker"])
    assert sum(": stopped" in record.getMessage() for record in caplog.records) == stopped
    server.record.chat.clear()
    async with running(settings_for(server, tmp_path), secrets()) as again:
        await again.in_room()
        await until(lambda: not len(again.bot.outbox))
    assert not server.chat_log, "what was reported as not done is not done later"


async def test_a_stop_finishes_what_fits(server: CytubeServer, tmp_path: Path) -> None:
    crowd = server.crowd()
    async with running(settings_for(server, tmp_path)) as one:
        await one.in_room()
        crowd.enter("Talker", rank=2)
        await until(lambda: one.bot.snapshot().room.user("Talker") is not None)
        for number in range(18):
            crowd.pm("Talker", NAME, f"say line {number};")
        await until(lambda: len(server.chat_log) >= 3)
        began = time.monotonic()
    assert time.monotonic() - began < 5
    said = [line.text for line in server.chat_log]
    told = " ".join(line.text for line in server.pm_log if line.to == "Talker")
    assert len(said) >= 12
    for number in range(18):
        assert (f"line {number};" in said) is not (f"say line {number};" in not_done(told)) or "Cut short" in told


async def test_an_order_that_comes_while_it_stops_is_answered(
    server: CytubeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bot_module, "FINISH_SECONDS", 0.0)
    crowd = server.crowd()
    async with running(settings_for(server, tmp_path)) as one:
        await one.in_room()
        crowd.enter("Talker", rank=2)
        await until(lambda: one.bot.snapshot().room.user("Talker") is not None)
        await one.bot.dispatcher.finish(0.0)
        crowd.pm("Talker", NAME, "say too late")
        await until(lambda: [line for line in server.pm_log if line.to == "Talker"])
    assert [line.text for line in server.pm_log if line.to == "Talker"] == [
        "I am being stopped. · Not done: say too late"
    ]

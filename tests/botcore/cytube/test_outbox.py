"""Nothing is lost, nothing is said twice."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from pathlib import Path

import pytest

from botcore import markup
from botcore.cytube import limits, lines
from botcore.cytube.message import Delivery, Message
from botcore.cytube.outbox import CAPACITY
from botcore.memory import ledger
from botcore.memory.store import Store
from botcore.room import Room
from sandbox.cytube import CytubeServer
from tests.botcore.running import Running, running, settings_for, until


async def statuses(bot: Running) -> list[tuple[str, str]]:
    return await bot.bot.store.run(
        lambda c: c.execute("SELECT message, status FROM outbound ORDER BY id").fetchall(), timeout=5
    )


async def test_an_echo_that_comes_late_counts_as_delivered_and_is_not_repeated(
    server: CytubeServer, tmp_path: Path
) -> None:
    """The fault of the old bot: a late echo was recorded as a failure although the line had been said."""
    async with running(settings_for(server, tmp_path, response_timeout=0.3)) as one:
        await one.in_room()
        server.delay(800)
        assert await one.bot.outbox.put(Message("slow")) is Delivery.UNCONFIRMED
        assert await one.bot.outbox.put(Message("slow too")) is Delivery.UNCONFIRMED
        server.delay(0)
        await until(lambda: one.bot.telemetry.events["chatMsg"] >= 2)
        async with asyncio.timeout(5):
            while await statuses(one) != [("slow", "delivered"), ("slow too", "delivered")]:
                await asyncio.sleep(0.01)
        assert [line.text for line in server.chat_log] == ["slow", "slow too"]


async def test_a_late_echo_is_not_taken_for_the_echo_of_the_next_line(server: CytubeServer, tmp_path: Path) -> None:
    async with running(settings_for(server, tmp_path, response_timeout=0.3)) as one:
        await one.in_room()
        server.delay(450)
        assert await one.bot.outbox.put(Message("first")) is Delivery.UNCONFIRMED
        server.delay(600)
        assert await one.bot.outbox.put(Message("second")) is Delivery.UNCONFIRMED
        server.delay(0)


async def test_what_was_shown_while_we_were_cut_off_is_found_in_the_history(
    server: CytubeServer, tmp_path: Path
) -> None:
    async with running(settings_for(server, tmp_path), fast=True) as one:
        await one.in_room()
        server.delay(500)
        sending = one.bot.outbox.put(Message("said in the last moment"))
        await until(lambda: server.chat_log)
        server.drop_connections()
        server.delay(0)
        assert await sending is Delivery.UNCONFIRMED
        await one.in_room()
        async with asyncio.timeout(5):
            while await statuses(one) != [("said in the last moment", "delivered")]:
                await asyncio.sleep(0.01)
        assert len(server.chat_log) == 1


async def test_what_is_queued_while_disconnected_is_said_after_the_return(server: CytubeServer, tmp_path: Path) -> None:
    async with running(settings_for(server, tmp_path), fast=True) as one:
        await one.in_room()
        await server.stop()
        await until(lambda: not one.connected)
        waiting = one.bot.outbox.put(Message("later"))
        await server.start()
        assert await asyncio.wait_for(waiting, 10) is Delivery.DELIVERED


async def test_what_the_broken_connection_did_not_take_is_said_on_the_next_one(
    server: CytubeServer, tmp_path: Path
) -> None:
    async with running(settings_for(server, tmp_path), fast=True) as one:
        await one.in_room()
        for _ in range(3):
            results = [one.bot.outbox.put(Message(f"line {number}")) for number in range(20)]
            await until(lambda: server.chat_log)
            server.drop_connections()
            outcomes = await asyncio.wait_for(asyncio.gather(*results), 20)
            assert outcomes.count(Delivery.UNCONFIRMED) <= 1, "only what was on its way can be in doubt"
            assert set(outcomes) <= {Delivery.DELIVERED, Delivery.UNCONFIRMED}
            said = [line.text for line in server.chat_log]
            assert len(said) == len(set(said)) >= 19
            server.record.chat.clear()
            await one.in_room()


async def test_a_connection_that_ends_just_before_the_line_goes_costs_nothing(
    server: CytubeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(settings_for(server, tmp_path), fast=True) as one:
        await one.in_room()
        noted = one.bot.journal.sending

        async def sending(message: Message) -> None:
            await noted(message)
            if one.bot.telemetry.sessions == 1:
                server.drop_connections()
                await until(lambda: one.bot.connection.session is None or one.bot.connection.session.ended.done())

        monkeypatch.setattr(one.bot.journal, "sending", sending)
        assert await asyncio.wait_for(one.bot.outbox.put(Message("once")), 10) is Delivery.DELIVERED
        assert [line.text for line in server.chat_log] == ["once"]


async def test_a_restart_says_what_waited_and_repeats_nothing_that_was_on_its_way(
    server: CytubeServer, tmp_path: Path
) -> None:
    store = Store(tmp_path / "bot.db")
    now = time.time()
    for number, (text, age) in enumerate((("waited", 5.0), ("on its way", 4.0), ("too old", 4000.0)), start=1):
        row = ledger.Outbound(number, now - age, None, text)
        await store.run(partial(ledger.queued, message=row), timeout=5)
    await store.run(lambda c: ledger.mark(c, 2, ledger.SENDING), timeout=5)
    store.close()
    async with running(settings_for(server, tmp_path)) as one:
        await one.in_room()
        await until(lambda: server.chat_log)
        await until(lambda: not len(one.bot.outbox))
        assert await statuses(one) == [("waited", "delivered"), ("on its way", "unconfirmed"), ("too old", "expired")]
    assert [line.text for line in server.chat_log] == ["waited"]


async def test_a_full_queue_refuses_instead_of_growing(bot: Running) -> None:
    results = [bot.bot.outbox.put(Message(f"{number}")) for number in range(CAPACITY + 20)]
    assert [result.done() and result.result() for result in results[-20:]] == [Delivery.OVERFLOW] * 20


def test_chat_and_antiflood_limits_stay_below_those_of_the_server() -> None:
    assert limits.CHAT.burst < 20
    assert limits.CHAT.per_second < 10
    assert limits.CHAT.silence > 20 / 10
    options = {"chat_antiflood": True, "chat_antiflood_params": {"burst": 4, "sustained": 1, "cooldown": 4}}
    assert limits.chat_limit(Room(rank=1, options=options)) == limits.Limit(3, 0.9, 5)
    assert limits.chat_limit(Room(rank=2, options=options)) == limits.CHAT
    broken = {"chat_antiflood": True, "chat_antiflood_params": {"burst": "x", "sustained": -1}}
    assert limits.chat_limit(Room(rank=1, options=broken)) == limits.Limit(3, 0.9, 5)


def test_after_the_burst_lines_are_spaced_until_there_was_silence() -> None:
    now = [0.0]
    brake = limits.Brake(lambda: now[0])
    limit = limits.Limit(burst=3, per_second=2, silence=4)
    for _ in range(3):
        assert brake.wait(limit) == 0
        brake.take(limit)
    assert brake.wait(limit) == 0.5
    now[0] += 0.5
    assert brake.wait(limit) == 0
    brake.take(limit)
    assert brake.wait(limit) == 0.5, "time alone gives nothing of the burst back"
    now[0] += 4
    for _ in range(3):
        assert brake.wait(limit) == 0
        brake.take(limit)
    assert brake.wait(limit) == 0.5


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (["a", "b", "c"], ["a · b · c"]),
        (["", "a", ""], ["a"]),
        (["x" * 300, "y" * 30], ["x" * 300, "y" * 30]),
        (["x" * 700], ["x" * 320, "x" * 320, "x" * 60]),
        (["line\nbreak\tand \x01 control"], ["line break and   control"]),
        (["   "], []),
    ],
)
def test_answers_are_cut_into_lines_that_arrive_whole(parts: list[str], expected: list[str]) -> None:
    assert list(lines.chunks(parts)) == expected


def test_an_echo_is_recognised_through_what_the_server_does_to_it() -> None:
    assert markup.same('<b> & "x"', '&lt;b&gt; &amp; "x"')
    assert markup.same(
        "see https://e.org/?a=1&b",
        'see <a href="https://e.org/?a=1&amp;b" target="_blank">https://e.org/?a=1&amp;b</a>',
    )
    assert markup.same("tab\there", "tab here")
    assert not markup.same("one", "two")

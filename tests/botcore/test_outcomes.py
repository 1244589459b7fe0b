"""What people cause is no error of the bot, and an answer says no more than what is wrong."""

from __future__ import annotations

import pytest

from botcore.commands import wording
from sandbox.cytube import CytubeServer, Viewer
from tests.botcore.running import NAME, Running, moderator, until
from tests.botcore.test_commands import ask, filled


async def lowered(server: CytubeServer, bot: Running) -> Viewer:
    """The owner takes the bot's rank away."""
    owner = await moderator(server, name="Owner")
    await owner.emit("setChannelRank", {"name": NAME, "rank": 1})
    await until(lambda: bot.bot.snapshot().room.rank == 1)
    return owner


@pytest.mark.parametrize(
    "orders",
    [
        ["add tw:somestreamer", "add tw:somestreamer"],
        ["add zz:nothing"],
        ["add https://example.org/page"],
        ["kick Owner"],
        ["kick Moderator"],
        ["kick Nobody"],
        [f"kick {NAME}"],
        ["pm Nobody hello"],
        [f"pm {NAME} hello"],
        ["user Nobody"],
        ["help dance"],
        ["current"],
        ["next"],
        ["pause"],
        ["remove 1"],
    ],
)
async def test_a_refusal_has_its_outcome_and_is_no_error(
    server: CytubeServer, bot: Running, mod: Viewer, orders: list[str]
) -> None:
    owner = await moderator(server, name="Owner")
    await until(lambda: bot.bot.snapshot().room.user("Owner") is not None)
    for order in orders:
        answer = await ask(mod, order)
    outcomes = {outcome for _, outcome in bot.bot.telemetry.commands}
    assert outcomes - {"ok"} <= {"refused", "usage"}, answer
    assert outcomes - {"ok"}
    assert bot.bot.telemetry.error_count == 0, answer
    assert "refused" not in outcomes or "Usage:" not in answer
    await owner.leave()


@pytest.mark.parametrize("order", ["clear", "kick Owner", "add tw:x", "next", "pause"])
async def test_what_the_rank_of_the_bot_forbids_is_no_error(server: CytubeServer, bot: Running, order: str) -> None:
    owner = await lowered(server, bot)
    await ask(owner, order)
    assert bot.bot.telemetry.error_count == 0
    assert {outcome for _, outcome in bot.bot.telemetry.commands} == {"refused"}
    await owner.leave()


async def test_somebody_else_is_leader_and_that_is_no_error(server: CytubeServer, bot: Running, mod: Viewer) -> None:
    await filled(mod, bot)
    await mod.emit("assignLeader", {"name": "Moderator"})
    await until(lambda: bot.bot.snapshot().room.leader == "Moderator")
    assert await ask(mod, "pause") == "Moderator is leader."
    assert bot.bot.telemetry.commands[("pause", "refused")] == 1
    assert bot.bot.telemetry.error_count == 0


@pytest.mark.parametrize(
    ("order", "usage"),
    [("kick", True), ("kick Nobody", False), ("add", True), ("remove 9", True), ("next", False), ("say", True)],
)
async def test_the_usage_is_told_where_it_was_missed_and_only_there(mod: Viewer, order: str, usage: bool) -> None:
    if order.startswith("remove"):
        await ask(mod, "add tw:somestreamer keep")
    assert ("Usage:" in await ask(mod, order)) is usage


async def test_one_is_counted_as_one(mod: Viewer) -> None:
    await ask(mod, "add tw:somestreamer keep")
    assert (await ask(mod, "playlist")).startswith("1 item, ")
    answer = await ask(mod, "status")
    assert "2 chat commands" not in answer
    assert "3 chat commands, 0 errors" in answer
    assert [wording.count(number, "person", "people") for number in (0, 1, 2)] == ["0 people", "1 person", "2 people"]

"""The chat commands: who may, what they do, what they answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from botcore.commands import REGISTRY
from sandbox.cytube import SANDBOX_PASSWORD, CytubeServer, Viewer
from tests.botcore.running import CHANNEL, NAME, Running, moderator, until

PAGE = Path(__file__).parents[2] / "docs" / "chat-commands.md"
# The chat commands of the bot this one replaces; moderators know them.
EXPECTED = (
    "help info status stats users user afk say pm clear playlist current add remove move jump next pause kick voteskip"
)


async def ask(viewer: Viewer, text: str, *, deadline: float = 60.0) -> str:
    """Say a chat command and return the first answer."""
    viewer.forget()
    await viewer.pm(NAME, text)
    answer = await viewer.wait_for("pm", lambda line: line["username"] == NAME, deadline=deadline)
    return str(answer["msg"])


async def filled(viewer: Viewer, bot: Running) -> None:
    """Three items on the playlist, the first one playing."""
    for identifier in ("dQw4w9WgXcQ", "aaaaaaaaaaa", "bbbbbbbbbbb"):
        await ask(viewer, f"add yt:{identifier} keep")
    await until(lambda: bot.bot.snapshot().room.playback is not None)


def titles(bot: Running) -> list[str]:
    return [item.media.title.split()[1] for item in bot.bot.snapshot().room.playlist]


def test_the_registry_has_the_known_chat_commands() -> None:
    assert sorted(command.name for command in REGISTRY) == sorted(EXPECTED.split())


def test_every_chat_command_is_documented_from_the_registry() -> None:
    assert PAGE.read_text(encoding="utf-8") == REGISTRY.document(), (
        "run: python -m botcore --commands > docs/chat-commands.md"
    )
    for command in REGISTRY:
        assert f"## {command.name}\n" in REGISTRY.document()
        assert command.summary
        assert command.details.endswith(".")


@pytest.mark.parametrize("name", EXPECTED.split())
async def test_help_explains_each(mod: Viewer, name: str) -> None:
    command = REGISTRY.get(name)
    assert command is not None
    assert (await ask(mod, f"help {name}")).startswith(name)


async def test_everybody_below_moderator_is_met_with_silence(server: CytubeServer, bot: Running, mod: Viewer) -> None:
    viewer = await Viewer.join(server.url, CHANNEL, "Viewer", SANDBOX_PASSWORD)
    await viewer.pm(NAME, "help")
    await viewer.pm(NAME, "kick Moderator")
    assert "Chat commands" in await ask(mod, "help")
    assert not [line for line in server.pm_log if line.to == "Viewer"]
    assert bot.bot.telemetry.requests == 1
    await viewer.leave()


async def test_a_promoted_user_is_obeyed_from_then_on(server: CytubeServer, bot: Running) -> None:
    owner = await moderator(server, name="Owner")
    viewer = await Viewer.join(server.url, CHANNEL, "Viewer", SANDBOX_PASSWORD)
    await owner.emit("setChannelRank", {"name": "Viewer", "rank": 2})
    await until(lambda: (user := bot.bot.snapshot().room.user("Viewer")) and user.rank == 2)
    assert "Chat commands" in await ask(viewer, "help")
    await viewer.leave()
    await owner.leave()


async def test_unknown_words_are_answered_but_are_no_failure(bot: Running, mod: Viewer) -> None:
    assert "no chat command" in await ask(mod, "dance")
    assert (bot.bot.telemetry.requests, bot.bot.telemetry.error_count) == (1, 0)


async def test_every_use_is_remembered_with_who_and_what(bot: Running, mod: Viewer) -> None:
    await ask(mod, "say hello")
    await ask(mod, "help")
    rows = await bot.bot.store.run(
        lambda c: c.execute("SELECT who, rank, command, argument, outcome FROM actions ORDER BY id").fetchall(),
        timeout=5,
    )
    assert rows == [("Moderator", 2.0, "say", "hello", "ok"), ("Moderator", 2.0, "help", "", "ok")]


async def test_info_status_and_stats_tell_how_it_is(mod: Viewer) -> None:
    assert CHANNEL in await ask(mod, "info")
    assert "0 reconnects" in await ask(mod, "status")
    assert "2 people seen" in await ask(mod, "stats")


async def test_users_and_user_name_people_and_never_their_address(
    server: CytubeServer, bot: Running, mod: Viewer
) -> None:
    viewer = await Viewer.join(server.url, CHANNEL, "Viewer", SANDBOX_PASSWORD)
    await viewer.chat("one line")
    await until(lambda: bot.bot.snapshot().room.user("viewer") is not None)
    assert "Moderator (moderator)" in await ask(mod, "users")
    answer = await ask(mod, "user vIEWER")
    assert answer.startswith("Viewer")
    assert "1 line ·" in answer
    seen = bot.bot.snapshot().room.user("viewer")
    assert seen is not None
    assert seen.ip
    assert seen.ip not in answer
    assert "never seen" in await ask(mod, "user Nobody")
    await viewer.leave()
    await until(lambda: bot.bot.snapshot().room.user("viewer") is None)
    assert "is not here" in await ask(mod, "user Viewer")


async def test_afk_toggles(bot: Running, mod: Viewer) -> None:
    assert "AFK now" in await ask(mod, "afk")
    own = bot.bot.snapshot().room.user(NAME)
    assert own is not None
    assert own.afk


async def test_say_speaks_and_reports_after_the_echo(server: CytubeServer, mod: Viewer) -> None:
    assert await ask(mod, "say hello   room") == "Said."
    assert [line.text for line in server.chat_log] == ["hello   room"]


async def test_say_splits_what_is_too_long_for_a_line(server: CytubeServer, mod: Viewer) -> None:
    text = " ".join(f"word{number}" for number in range(30))
    assert await ask(mod, f"say {text}") == "Said."
    assert " ".join(line.text for line in server.chat_log) == text


@pytest.mark.parametrize("order", ["/kick Viewer", "/ban Viewer", "/clear", "/ipban Viewer", "/afk"])
async def test_say_lends_nobody_the_rank_of_the_bot(server: CytubeServer, mod: Viewer, order: str) -> None:
    assert "do not pass orders" in await ask(mod, f"say {order}")
    assert not server.chat_log


async def test_say_may_act(server: CytubeServer, mod: Viewer) -> None:
    assert await ask(mod, "say /me waves") == "Said."
    assert server.chat_log[0].html == "waves"


async def test_pm_reaches_one_person(server: CytubeServer, bot: Running, mod: Viewer) -> None:
    viewer = await Viewer.join(server.url, CHANNEL, "Viewer", SANDBOX_PASSWORD)
    await until(lambda: bot.bot.snapshot().room.user("Viewer") is not None)
    assert await ask(mod, "pm viewer psst, you") == "Sent to Viewer."
    assert (await viewer.wait_for("pm"))["msg"] == "psst, you"
    assert "is not here" in await ask(mod, "pm Nobody hello")
    await viewer.leave()


async def test_clear_clears(mod: Viewer) -> None:
    mod.forget()
    await mod.pm(NAME, "clear")
    assert (await mod.wait_for("clearchat"))["clearedBy"] == NAME


async def test_add_playlist_and_current(bot: Running, mod: Viewer) -> None:
    assert await ask(mod, "playlist") == "The playlist is empty."
    assert "Nothing plays" in await ask(mod, "current")
    assert "place 1: Demo one" in await ask(mod, "add https://youtu.be/dQw4w9WgXcQ")
    assert "place 2: Demo two" in await ask(mod, "add https://www.youtube.com/watch?v=aaaaaaaaaaa&t=3 keep")
    assert "place 2: Demo three" in await ask(mod, "add yt:bbbbbbbbbbb next")
    assert titles(bot) == ["one", "three", "two"]
    assert [item.temp for item in bot.bot.snapshot().room.playlist] == [True, True, False]
    assert "▶ 1. Demo one" in await ask(mod, "playlist")
    assert (await ask(mod, "playlist 3")).endswith("3. Demo two [3:32]")
    assert (await ask(mod, "current")).startswith("Demo one")


async def test_add_passes_on_why_cytube_said_no(bot: Running, mod: Viewer) -> None:
    await ask(mod, "add tw:somestreamer")
    assert "already on the playlist" in await ask(mod, "add tw:somestreamer")
    assert bot.bot.telemetry.errors == {}


async def test_fourteen_items_at_once_are_all_added_15(server: CytubeServer, bot: Running, mod: Viewer) -> None:
    """The server takes ten at once and two a second: none may be lost."""
    for number in range(14):
        await mod.pm(NAME, f"add tw:streamer{number}")
    await until(lambda: len(bot.bot.snapshot().room.playlist) == 14, deadline=30)
    assert bot.bot.telemetry.error_count == 0
    assert bot.bot.telemetry.events["queueFail"] == 0


async def test_remove_move_jump_and_next(bot: Running, mod: Viewer) -> None:
    await filled(mod, bot)
    assert titles(bot) == ["one", "two", "three"]
    assert "place 1: Demo three" in await ask(mod, "move 3 1")
    assert titles(bot) == ["three", "one", "two"]
    assert "place 3: Demo three" in await ask(mod, "move 1 3")
    assert titles(bot) == ["one", "two", "three"]
    assert await ask(mod, "jump 2") == "Playing: Demo two"
    assert (await ask(mod, "next")).startswith("Playing: Demo three")
    assert await ask(mod, "remove 2") == "Removed: Demo two"
    assert titles(bot) == ["one", "three"]


@pytest.mark.parametrize(
    "text", ["remove 9", "remove 0", "remove -1", "remove x", "remove ²", "jump 99999999999999", "move 1", "move 1 9"]
)
async def test_wrong_places_are_explained(bot: Running, mod: Viewer, text: str) -> None:
    await filled(mod, bot)
    assert "Usage:" in await ask(mod, text)
    assert len(titles(bot)) == 3
    assert bot.bot.telemetry.error_count == 0


async def test_pause_holds_playback_and_gives_it_back(server: CytubeServer, bot: Running, mod: Viewer) -> None:
    await filled(mod, bot)
    await ask(mod, "jump 2")
    assert (await ask(mod, "pause")).startswith("Paused")
    playback = bot.bot.snapshot().room.playback
    assert playback is not None
    assert playback.paused
    assert bot.bot.snapshot().room.leader == NAME
    assert await ask(mod, "pause") == "Going on."
    assert bot.bot.snapshot().room.leader == ""


async def test_kick_puts_out_whom_the_moderator_outranks(server: CytubeServer, bot: Running, mod: Viewer) -> None:
    viewer = await Viewer.join(server.url, CHANNEL, "Viewer", SANDBOX_PASSWORD)
    owner = await moderator(server, name="Owner")
    await until(lambda: len(bot.bot.snapshot().room.users) == 4)
    assert await ask(mod, "kick viewer be nice") == "Viewer was kicked."
    assert (await viewer.wait_for("kick"))["reason"] == "be nice"
    assert "your rank or a higher one" in await ask(mod, "kick Owner")
    assert "your rank or a higher one" in await ask(mod, "kick Moderator")
    assert "not here" in await ask(mod, "kick Nobody")
    await owner.leave()


async def test_voteskip_votes(bot: Running, mod: Viewer) -> None:
    await filled(mod, bot)
    assert await ask(mod, "voteskip") == "1 vote of 1 needed."


async def test_what_the_rank_of_the_bot_forbids_is_never_tried_20(server: CytubeServer, bot: Running) -> None:
    """CyTube kicks those who try what they may not."""
    owner = await moderator(server, name="Owner")
    await owner.emit("setChannelRank", {"name": NAME, "rank": 1})
    await until(lambda: bot.bot.snapshot().room.rank == 1)
    for text in ("clear", "remove 1", "jump 1", "next", "pause", "kick Owner", "move 1 2"):
        answer = await ask(owner, text)
        assert "may not" in answer or "empty" in answer or "Nothing" in answer or "rank" in answer, answer
    assert bot.connected
    assert bot.ended == {}
    await owner.leave()

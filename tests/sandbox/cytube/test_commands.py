"""Chat commands of CyTube itself, as its own source obeys them: at every depth, and with silence for who may not."""

from collections.abc import Callable
from typing import Any

import pytest

from sandbox.cytube import CytubeServer, Media, ServerConfig, Viewer
from sandbox.cytube.config import CHAT
from tests.sandbox.cytube.conftest import Join, hears_nothing


def _is_item(media_id: str) -> Callable[[Any], bool]:
    return lambda each: bool(each["item"]["media"]["id"] == media_id)


STREAM = {"type": "tw", "pos": "end"}


@pytest.mark.parametrize("before", ["", "/me ", "/sp ", "/say ", "/me /sp /shout ", "/d ", "/d7 "])
async def test_what_follows_a_format_is_obeyed_at_every_depth(join: Join, server: CytubeServer, before: str) -> None:
    owner, viewer = await join("Owner"), await join("Viewer")
    await owner.chat(f"{before}/kick Viewer out")
    assert (await viewer.wait_for("kick"))["reason"].startswith("out")
    assert not server.chat_log


@pytest.mark.parametrize("line", [" /kick Viewer", "/me  /kick Viewer", "/nosuchcommand x", "//kick Viewer"])
async def test_a_slash_that_is_not_the_first_character_is_text(join: Join, server: CytubeServer, line: str) -> None:
    owner, viewer = await join("Owner"), await join("Viewer")
    await owner.chat(line)
    await owner.wait_for("chatMsg", lambda said: said["username"] == "Owner")
    assert viewer.disconnected is None
    assert server.chat_log[-1].text == line.removeprefix("/me ")


@pytest.mark.parametrize("line", ["/toString x", "/constructor"])
async def test_a_word_that_every_object_has_is_swallowed(join: Join, line: str) -> None:
    owner = await join("Owner")
    await owner.chat(line)
    assert await hears_nothing(owner, "errorMsg", "noflood")
    assert [each for each in owner.unread if each.event == "chatMsg" and each.data["username"] == "Owner"] == []


async def test_rank_is_given_by_a_command_too(join: Join, server: CytubeServer) -> None:
    admin, viewer = await join("RoseyBot"), await join("Viewer")
    await admin.chat("/me /rank Viewer 2")
    assert await viewer.wait_for("rank", lambda rank: rank == 2) == 2
    await admin.chat("/rank Viewer")
    assert (await admin.wait_for("noflood"))["action"] == "/rank"
    await viewer.chat("/rank Owner 1")
    assert await hears_nothing(viewer, "channelRankFail", "errorMsg")


async def test_an_owner_makes_owners(join: Join, server: CytubeServer) -> None:
    creator, first, second = await join("Owner"), await join("RoseyBot"), await join("Viewer")
    await creator.emit("setChannelRank", {"name": "RoseyBot", "rank": 4})
    await first.wait_for("rank", lambda rank: rank == 4)
    await first.chat("/me /rank Viewer 4")
    assert await second.wait_for("rank", lambda rank: rank == 4) == 4


async def test_a_format_counts_twice_for_the_flood_limit(join: Join) -> None:
    viewer = await join("Viewer")
    for number in range(CHAT.burst - 1):
        await viewer.chat(f"line {number}")
    await viewer.chat("/me waves")
    assert await viewer.wait_for("cooldown") == CHAT.wait_ms
    await viewer.wait_for("chatMsg", lambda said: said["msg"] == f"line {CHAT.burst - 2}")
    assert not [each for each in viewer.unread if each.event == "chatMsg" and each.data["msg"] == "waves"]


async def test_a_pm_to_nobody_counts_as_well(join: Join) -> None:
    viewer = await join("Viewer")
    for _ in range(CHAT.burst):
        await viewer.pm("Nobody", "psst")
    await viewer.pm("Nobody", "psst")
    assert await viewer.wait_for("cooldown") == CHAT.wait_ms


async def test_length_is_counted_in_utf_16_units_and_may_halve_an_emoji(join: Join) -> None:
    viewer = await join("Viewer")
    await viewer.chat("x" + "🙂" * 200)
    said = (await viewer.wait_for("chatMsg"))["msg"]
    assert said == "x" + "🙂" * 159 + "\ud83d"


async def test_another_longest_line_may_be_set(clock: object) -> None:
    async with CytubeServer(ServerConfig(login_cost=4, chat_length=240)) as short:
        viewer = await Viewer.join(short.url, "test-rosey", "Guesty")
        await viewer.chat("y" * 300)
        assert len((await viewer.wait_for("chatMsg"))["msg"]) == 240
        await viewer.leave()


async def test_muted_people_may_command_but_not_speak(join: Join) -> None:
    owner, moderator = await join("Owner"), await join("Moderator")
    await owner.chat("/mute Moderator")
    await moderator.wait_for("setUserMeta", lambda meta: meta["meta"]["muted"])
    await moderator.chat("/me speaks")
    assert (await moderator.wait_for("noflood"))["action"] == "chat"
    await moderator.chat("/clear")
    assert (await owner.wait_for("clearchat"))["clearedBy"] == "Moderator"


async def test_a_second_vote_is_silent_and_a_departure_takes_its_vote_along(join: Join) -> None:
    moderator = await join("Moderator", ip="10.0.0.1")
    voter, _third = await join("Voter", ip="10.0.0.2"), await join("Third", ip="10.0.0.3")
    await moderator.emit("queue", {**STREAM, "id": "one"})
    await moderator.wait_for("changeMedia")
    await voter.emit("voteskip")
    assert await moderator.wait_for("voteskip", lambda votes: votes["need"]) == {"count": 1, "need": 2}
    moderator.forget()
    await voter.emit("voteskip")
    assert await hears_nothing(moderator, "voteskip")
    await voter.leave()
    assert await moderator.wait_for("voteskip") == {"count": 0, "need": 1}


async def test_who_may_not_see_the_list_hears_nothing_of_it(join: Join) -> None:
    owner, moderator = await join("Owner"), await join("Moderator")
    await owner.emit("setPermissions", {"seeplaylist": 3})
    await moderator.wait_for("setPermissions", lambda each: each["seeplaylist"] == 3)
    moderator.forget()
    await owner.emit("queue", {**STREAM, "id": "one"})
    assert (await owner.wait_for("queue"))["after"] == "prepend"
    await moderator.wait_for("changeMedia")
    assert "queue" not in {each.event for each in moderator.unread}
    assert "setPlaylistMeta" in {each.event for each in moderator.unread}


async def test_the_options_limit_who_may_not_exceed_them() -> None:
    media = (Media("aaaaaaaaaaa", "long", 500), Media("bbbbbbbbbbb", "short", 50))
    async with CytubeServer(ServerConfig(login_cost=4, media=media)) as server:
        room = server.room()
        room.permissions |= {"playlistadd": 0, "exceedmaxlength": 3, "exceedmaxitems": 3}
        room.board.options |= {"maxlength": 100, "playlist_max_per_user": 1}
        viewer = await Viewer.join(server.url, "test-rosey", "Guesty")
        for media_id, sentence in (
            ("aaaaaaaaaaa", "Video exceeds the maximum length set by the channel admin: 100 seconds"),
            ("bbbbbbbbbbb", ""),
            ("bbbbbbbbbbb", "Channel limit exceeded: maximum number of videos per user"),
        ):
            await viewer.emit("queue", {"id": media_id, "type": "yt", "pos": "end"})
            answer = await viewer.wait_for_any("queueFail", "queue")
            assert answer.data.get("msg", "") == sentence
        await viewer.leave()


async def test_what_waits_elsewhere_is_moved_when_it_is_queued_next(join: Join, server: CytubeServer) -> None:
    moderator = await join("Moderator")
    for name in ("one", "two", "three"):
        await moderator.emit("queue", {**STREAM, "id": name})
        await moderator.wait_for("queue", _is_item(name))
    await moderator.emit("queue", {**STREAM, "id": "three", "pos": "next"})
    await moderator.wait_for("delete")
    await moderator.wait_for("queue")
    assert [item.media.id for item in server.room().player.items] == ["one", "three", "two"]


async def test_filters_are_edited_by_those_who_may(join: Join) -> None:
    admin, moderator = await join("RoseyBot"), await join("Moderator")
    wanted = {"name": "cats", "source": "dog(s?)", "flags": "gi", "replace": "<b>cat$1</b>", "active": True}
    await moderator.emit("addFilter", wanted)
    await admin.emit("addFilter", wanted)
    await admin.wait_for("addFilterSuccess")
    assert (await admin.wait_for("updateChatFilter"))["name"] == "cats"
    await moderator.chat("Dogs")
    said = await admin.wait_for("chatMsg", lambda line: line["username"] == "Moderator")
    assert said["msg"] == "<b>cats</b>"
    await admin.emit("removeFilter", {"name": "cats"})
    assert await admin.wait_for("deleteChatFilter") == {"name": "cats"}
    assert await hears_nothing(moderator, "updateChatFilter", "deleteChatFilter", "errorMsg")


async def test_nobody_bans_themselves_and_the_right_to_ban_is_named(join: Join) -> None:
    moderator, viewer = await join("Moderator"), await join("Viewer")
    await moderator.chat("/ban Moderator")
    assert await moderator.wait_for("costanza") == {"msg": "You can't ban yourself"}
    await viewer.chat("/ban Moderator")
    assert (await viewer.wait_for("errorMsg"))["msg"] == "You do not have ban permissions on this channel"

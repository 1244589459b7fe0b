"""Leader, live streams and the end of the list, as CyTube's own source has them (src/channel/playlist.js)."""

from collections.abc import AsyncIterator

import pytest

from sandbox.cytube import CytubeServer, ManualClock, Media, ServerConfig, Viewer
from tests.sandbox.cytube.conftest import Join, hears_nothing

SHORT = Media("aaaaaaaaaaa", "short", 4)
LONG = Media("bbbbbbbbbbb", "long", 200)


@pytest.fixture
async def server(clock: ManualClock) -> AsyncIterator[CytubeServer]:
    """A server that knows two media."""
    async with CytubeServer(ServerConfig(clock=clock, login_cost=4, media=(SHORT, LONG))) as running:
        yield running


async def queue(viewer: Viewer, media: str, *, kind: str = "yt", temp: bool = True) -> int:
    """Queue something at the end; its uid."""
    await viewer.emit("queue", {"id": media, "type": kind, "pos": "end", "temp": temp})
    answer = await viewer.wait_for("queue")
    return int(answer["item"]["uid"])


async def lead(viewer: Viewer, name: str) -> None:
    await viewer.emit("assignLeader", {"name": name})
    await viewer.wait_for("setLeader", lambda leader: leader == name)


async def test_an_item_that_starts_under_a_leader_stands_still_at_its_beginning(join: Join, clock: ManualClock) -> None:
    moderator = await join("Moderator")
    await queue(moderator, SHORT.id)
    await queue(moderator, LONG.id)
    await lead(moderator, "Moderator")
    await moderator.emit("playNext")
    started = await moderator.wait_for("changeMedia", lambda media: media["id"] == LONG.id)
    assert (started["currentTime"], started["paused"]) == (0, False)
    moderator.forget()
    clock.advance(30)
    assert await hears_nothing(moderator, "mediaUpdate", "changeMedia")


async def test_nobody_pauses_a_live_stream(join: Join) -> None:
    moderator = await join("Moderator")
    await queue(moderator, "somestreamer", kind="tw")
    await lead(moderator, "Moderator")
    moderator.forget()
    await moderator.emit("mediaUpdate", {"id": "somestreamer", "type": "tw", "currentTime": 5, "paused": True})
    assert await hears_nothing(moderator, "mediaUpdate")


async def test_after_the_last_temporary_item_nothing_plays_and_nothing_answers(
    server: CytubeServer, join: Join, clock: ManualClock
) -> None:
    moderator = await join("Moderator")
    uid = await queue(moderator, SHORT.id)
    clock.advance(3 + SHORT.seconds + 3)
    assert await moderator.wait_for("delete") == {"uid": uid}
    assert server.room().player.current is None
    moderator.forget()
    for event, data in (
        ("playNext", None),
        ("voteskip", None),
        ("mediaUpdate", {"id": SHORT.id, "currentTime": 1, "paused": True}),
    ):
        await moderator.emit(event, data)
    assert await hears_nothing(moderator, "changeMedia", "setCurrent", "mediaUpdate", "voteskip")


async def test_what_is_added_to_an_empty_list_plays(join: Join, clock: ManualClock) -> None:
    moderator = await join("Moderator")
    await queue(moderator, SHORT.id)
    clock.advance(10)
    await moderator.wait_for("delete")
    uid = await queue(moderator, LONG.id)
    assert await moderator.wait_for("setCurrent", lambda current: current == uid) == uid


async def test_a_jump_starts_the_new_item_before_the_old_one_goes(join: Join) -> None:
    moderator = await join("Moderator")
    first = await queue(moderator, SHORT.id)
    second = await queue(moderator, LONG.id)
    before = len(moderator.heard)
    await moderator.emit("jumpTo", second)
    await moderator.wait_for("setCurrent", lambda current: current == second)
    await moderator.wait_for("delete", lambda gone: gone["uid"] == first)
    names = [each.event for each in moderator.heard[before:] if each.event in ("setCurrent", "delete")]
    assert names == ["setCurrent", "delete"]


async def test_whoever_assigns_leaders_without_the_right_is_kicked(join: Join) -> None:
    viewer = await join("Viewer")
    await viewer.emit("assignLeader", {"name": "Viewer"})
    assert (await viewer.wait_for("kick"))["reason"] == "Attempted assignLeader without sufficient permission"


async def test_a_leader_who_is_not_here_is_an_error_and_nobody_leads(server: CytubeServer, join: Join) -> None:
    moderator = await join("Moderator")
    await moderator.emit("assignLeader", {"name": "Nobody"})
    answer = await moderator.wait_for("errorMsg")
    assert answer["msg"] == "Unable to assign leader: could not find user Nobody"
    assert server.room().player.leader is None


async def test_a_leader_who_leaves_gives_playback_back(join: Join, clock: ManualClock) -> None:
    moderator, owner = await join("Moderator"), await join("Owner")
    await queue(moderator, LONG.id)
    await lead(owner, "Moderator")
    await moderator.emit("mediaUpdate", {"id": LONG.id, "currentTime": 60, "paused": True})
    await owner.wait_for("mediaUpdate", lambda update: update["paused"])
    await moderator.leave()
    assert await owner.wait_for("setLeader", lambda name: not name) == ""
    assert await owner.wait_for("mediaUpdate") == {"currentTime": 60, "paused": False}
    clock.advance(6)
    assert (await owner.wait_for("mediaUpdate"))["currentTime"] > 60

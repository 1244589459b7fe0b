"""Life in a room: AFK, votes, leaders, polls, ranks."""

from sandbox.cytube import SANDBOX_PASSWORD, CytubeServer, ManualClock, Media, ServerConfig, Viewer
from tests.sandbox.cytube.conftest import Join, hears_nothing

EIGHT_SECONDS = {"id": "streamer", "type": "tw", "pos": "end", "duration": 8, "temp": True}


async def test_ten_idle_minutes_are_afk_and_a_line_is_back(join: Join, clock: ManualClock) -> None:
    viewer = await join("Guesty")
    clock.advance(599)
    await viewer.chat("still here")
    await viewer.wait_for("chatMsg")
    clock.advance(599)
    assert await hears_nothing(viewer, "setAFK")
    clock.advance(1)
    assert await viewer.wait_for("setAFK") == {"name": "Guesty", "afk": True}
    await viewer.chat("back")
    assert await viewer.wait_for("setAFK") == {"name": "Guesty", "afk": False}


async def test_who_left_does_not_become_afk(join: Join, clock: ManualClock) -> None:
    stays, goes = await join("Stays"), await join("Goes")
    await goes.leave()
    await stays.wait_for("userLeave")
    clock.advance(601)
    assert (await stays.wait_for("setAFK"))["name"] == "Stays"
    assert await hears_nothing(stays, "setAFK")


async def test_the_first_item_has_uid_0_and_plays(join: Join, server: CytubeServer, clock: ManualClock) -> None:
    owner = await join("Owner")
    await owner.emit("queue", EIGHT_SECONDS)
    assert await owner.wait_for("setCurrent") == 0
    assert (await owner.wait_for("changeMedia"))["currentTime"] == -3
    late = await join("Late")
    assert [
        each.event for each in late.heard if each.event in ("playlist", "setCurrent", "changeMedia", "userlist")
    ] == [
        "playlist",
        "setCurrent",
        "changeMedia",
        "userlist",
    ]
    clock.advance(3)
    assert await owner.wait_for("mediaUpdate") == {"currentTime": 0, "paused": False}
    clock.advance(9)
    assert server.room().player.current_uid == 0
    clock.advance(1)
    assert await owner.wait_for("delete") == {"uid": 0}
    assert server.room().player.current_uid is None


async def test_half_of_the_voters_skip(join: Join, clock: ManualClock) -> None:
    owner, guest = await join("Owner", ip="10.0.0.1"), await join("Guesty", ip="10.0.0.2")
    third = await join("Third", ip="10.0.0.3")
    for name in ("one", "two"):
        await owner.emit("queue", {**EIGHT_SECONDS, "id": name})
    assert (await owner.wait_for("changeMedia"))["id"] == "one"
    await guest.emit("voteskip")
    await guest.emit("voteskip")
    assert await owner.wait_for("voteskip", lambda vote: vote["count"] == 1) == {"count": 1, "need": 2}
    await third.emit("voteskip")
    assert (await owner.wait_for("changeMedia"))["id"] == "two"


async def test_a_leader_who_leaves_gives_the_lead_back(join: Join) -> None:
    owner, leader = await join("Owner"), await join("Viewer")
    await owner.emit("queue", EIGHT_SECONDS)
    await owner.emit("assignLeader", {"name": "Viewer"})
    assert await owner.wait_for("setUserRank", lambda each: each["name"] == "Viewer" and each["rank"] != 1) == {
        "name": "Viewer",
        "rank": 1.5,
    }
    assert await owner.wait_for("setLeader") == "Viewer"
    await leader.leave()
    assert await owner.wait_for("setLeader") == ""
    assert (await owner.wait_for("mediaUpdate"))["paused"] is False


async def test_nobody_but_the_leader_moves_the_position(join: Join, server: CytubeServer) -> None:
    owner = await join("Owner")
    await owner.emit("queue", EIGHT_SECONDS)
    await owner.emit("mediaUpdate", {"id": "streamer", "currentTime": 4, "paused": True, "type": "tw"})
    await owner.wait_for("changeMedia")
    assert await hears_nothing(owner, "mediaUpdate")


async def test_an_emptied_room_stands_still_and_goes_on(join: Join, server: CytubeServer, clock: ManualClock) -> None:
    owner = await join("Owner")
    await owner.emit("queue", {**EIGHT_SECONDS, "duration": 600})
    await owner.wait_for("changeMedia")
    clock.advance(13)
    await owner.leave()
    clock.advance(3600)
    again = await join("Owner")
    assert 9 <= (await again.wait_for("changeMedia"))["currentTime"] <= 10


async def test_a_poll_is_shown_to_late_comers_and_ends_by_itself(join: Join, clock: ManualClock) -> None:
    owner = await join("Owner")
    await owner.call("newPoll", {"title": "<q>", "opts": ["a", "b"], "timeout": 60})
    late = await join("Late")
    assert (await late.wait_for("newPoll"))["title"] == "&lt;q&gt;"
    clock.advance(60)
    await late.wait_for("closePoll")


async def test_a_guest_may_not_ask_the_room(join: Join) -> None:
    guest = await join("Guesty")
    answer = await guest.call("newPoll", {"title": "q", "opts": ["a"]})
    assert "permission" in answer["error"]["message"]


async def test_private_messages_count_as_chat_for_the_flood_limit(join: Join, server: CytubeServer) -> None:
    sender, addressee = await join("Sender"), await join("Addressee")
    for number in range(21):
        await sender.pm("Addressee", f"{number}")
    assert await sender.wait_for("cooldown") == 100
    await addressee.has_heard(20)
    assert len(server.pm_log) == 20


async def test_a_long_private_message_is_cut_like_a_line(join: Join, server: CytubeServer) -> None:
    sender, addressee = await join("Sender"), await join("Addressee")
    await sender.pm("Addressee", "x" * 500)
    assert len((await addressee.wait_for("pm"))["msg"]) == 320


async def test_a_shadow_muted_line_is_neither_heard_nor_remembered(join: Join, server: CytubeServer) -> None:
    owner, muted, other = await join("Owner"), await join("Muted"), await join("Other")
    await owner.chat("/smute Muted")
    await owner.wait_for("chatMsg", lambda line: "shadowmuted" in line["msg"])
    await muted.chat("psst")
    assert (await muted.wait_for("chatMsg"))["meta"] == {}
    assert (await owner.wait_for("chatMsg", lambda line: line["msg"] == "psst"))["meta"] == {"shadow": True}
    assert await hears_nothing(other, "chatMsg")
    assert not server.chat_log


async def test_what_the_sandbox_knows_can_be_queued() -> None:
    config = ServerConfig(media=(Media("abc", "A known video", 60),), login_cost=4)
    async with CytubeServer(config) as server:
        owner = await Viewer.join(server.url, "test-rosey", "Owner", SANDBOX_PASSWORD)
        await owner.emit("searchMedia", {"source": "library", "query": "known"})
        assert [each["id"] for each in (await owner.wait_for("searchResults"))["results"]] == ["abc"]
        await owner.emit("queue", {"id": "abc", "type": "yt", "pos": "end"})
        assert (await owner.wait_for("queue"))["item"]["media"]["title"] == "A known video"
        await owner.emit("queue", {"id": "unknown", "type": "yt", "pos": "end"})
        assert "API key" in (await owner.wait_for("queueFail"))["msg"]
        await owner.leave()


async def test_permissions_can_be_changed_and_hold(join: Join) -> None:
    owner, guest = await join("Owner"), await join("Guesty")
    await owner.emit("setPermissions", {"chat": 1})
    assert (await guest.wait_for("setPermissions", lambda each: each["chat"] == 1))["chat"] == 1
    await guest.chat("may I?")
    assert await hears_nothing(guest, "chatMsg")

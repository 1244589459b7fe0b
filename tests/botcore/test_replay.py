"""The whole recording goes through the reducers, and the state is what the recording shows."""

from __future__ import annotations

import dataclasses

import pytest

from botcore.room import REDUCERS, Room, reduce
from botcore.room.model import Media
from tests.botcore import recording

# Everything that facts of the bot it replaces and the recording name, beside what the recording itself contains.
HANDLED_BEFORE = frozenset(
    """rank setMotd channelCSSJS channelOpts setPermissions emoteList drinkCount usercount needPassword noflood errorMsg
    queueFail kick userlist addUser userLeave setUserMeta setUserRank setAFK setLeader setPlaylistMeta mediaUpdate
    voteskip setCurrent queue delete setTemp moveVideo playlist setPlaylistLocked chatMsg login pm cooldown
    spamFiltered cancelNeedPassword changeMedia""".split()  # noqa: SIM905  a list of forty would fill the page
)


def after(client: str, scenario: str | None = None) -> Room:
    """The state of one client at the end of a scenario, or of the recording."""
    room = Room()
    reached = False
    for entry, fresh in recording.received(client):
        if scenario is not None:
            if reached and not entry.scenario.startswith(scenario):
                break
            reached = reached or entry.scenario.startswith(scenario)
        room = reduce(Room() if fresh else room, entry.event, entry.data)
    return room


def people(room: Room) -> dict[str, float]:
    return {user.name: user.rank for user in room.users.values()}


def test_every_event_of_the_recording_and_of_the_old_bot_is_known() -> None:
    assert recording.event_names() <= REDUCERS.keys()
    assert not HANDLED_BEFORE - REDUCERS.keys()


@pytest.mark.parametrize("client", recording.clients())
def test_what_the_events_add_up_to_is_what_the_server_says_whenever_it_says_all(client: str) -> None:
    """`userlist` and `playlist` are the whole truth; the state before them must say the same already."""
    room = Room()
    for entry, fresh in recording.received(client):
        before = Room() if fresh else room
        room = reduce(before, entry.event, entry.data)
        if entry.event == "userlist" and before.listed:
            # The list can be ahead of the events for one person, us: it comes before our own rank.
            assert people(before).keys() == people(room).keys(), entry
            ahead = people(room).items() - people(before).items()
            assert len(ahead) <= 1, entry
        if entry.event == "setPlaylistMeta" and before.listed and entry.data["count"] == len(before.playlist):
            assert sum(item.media.seconds for item in before.playlist) == entry.data["rawTime"], entry
        if entry.event == "playlist" and before.listed and room.playlist and entry.scenario.startswith("14"):
            # A shuffle gives the same items new numbers.
            assert {item.media for item in before.playlist} == {item.media for item in room.playlist}, entry


def test_it_ends_in_the_room_as_the_recording_ends() -> None:
    room = after("bot")
    assert room.listed
    assert people(room) == {"TestBot": 3}
    assert room.rank == 3
    assert room.playlist == ()
    assert room.current_uid is None
    assert room.playback is None
    assert room.user_count == 1


def test_after_the_first_login_the_bot_knows_itself() -> None:
    room = after("bot", "02")
    assert people(room) == {"TestBot": 3}
    assert room.may("kick")
    assert not after("guest", "04").may("kick")


def test_media_end_with_the_embed_that_was_playing_after_the_shuffle() -> None:
    room = after("bot", "14")
    assert [item.uid for item in room.playlist] == [5, 6, 7, 8]
    assert room.current_uid == 5
    assert room.playback is not None
    assert room.playback.media.title == "Custom embed"
    assert room.playback.media.type == "cu"
    assert room.leader == ""


def test_uid_zero_is_an_item_that_can_be_current_and_deleted() -> None:
    room = Room()
    for entry, fresh in recording.received("bot"):
        room = reduce(Room() if fresh else room, entry.event, entry.data)
        if entry.scenario.startswith("31") and entry.event == "setCurrent" and entry.data == 0:
            assert room.current_uid == 0
            assert room.index(0) == 0
            break
    else:
        pytest.fail("the recording has no setCurrent 0 any more")


def test_the_next_item_plays_after_the_end_of_the_first() -> None:
    room = Room()
    played = []
    for entry, fresh in recording.received("bot"):
        room = reduce(Room() if fresh else room, entry.event, entry.data)
        if entry.scenario.startswith("31") and entry.event == "changeMedia":
            played.append((room.current_uid, room.playback and room.playback.media))
    assert played == [
        (0, Media("dQw4w9WgXcQ", "yt", "Demo one", 8, "00:08")),
        (1, Media("aaaaaaaaaaa", "yt", "Demo two", 212, "03:32")),
    ]


def test_ranks_follow_promotions_and_demotions() -> None:
    assert people(after("bot", "13")) == {"TestBot": 3, "Guesty": 1, "TestUser": 1}


def test_mutes_are_seen_and_taken_back() -> None:
    room = Room()
    seen = []
    for entry, fresh in recording.received("bot"):
        room = reduce(Room() if fresh else room, entry.event, entry.data)
        if entry.scenario.startswith("12") and entry.event == "setUserMeta":
            guest = room.user("guesty")
            assert guest is not None
            seen.append((guest.muted, guest.shadow_muted))
    assert seen == [(True, False), (False, False), (True, True), (False, False)]


def test_polls_emotes_motd_and_drinks_are_kept() -> None:
    room = after("bot", "16")
    assert room.poll is None
    assert room.motd == "<b>motd</b>"
    assert room.drinks == 1
    assert room.emotes[":kappa:"].image == "https://127.0.0.1/k.png"
    opened = None
    state = Room()
    for entry, _fresh in recording.received("user"):
        state = reduce(state, entry.event, entry.data)
        opened = state.poll or opened
    assert opened is not None
    assert opened.counts == (0, 1)


def test_an_unregistered_channel_is_told_apart() -> None:
    assert not after("anon").registered


def contents(room: Room) -> str:
    return repr([getattr(room, field.name) for field in dataclasses.fields(room)])


def test_a_room_is_never_changed_in_place() -> None:
    rooms = []
    room = Room()
    for entry, fresh in recording.received("bot"):
        room = reduce(Room() if fresh else room, entry.event, entry.data)
        rooms.append((room, contents(room)))
    assert all(contents(room) == then for room, then in rooms)

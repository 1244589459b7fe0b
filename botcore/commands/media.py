"""Chat commands about the playlist and what plays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from botcore import markup
from botcore.commands import allowance, medialink, wording
from botcore.commands.call import Call, unanswered
from botcore.commands.registry import chat_command
from botcore.cytube.session import Accept
from botcore.errors import ActionRefused, UsageError
from botcore.leadership import is_live
from botcore.room import Item, Playback, Room

SHOWN = 10
# CyTube asks other sites about a link before it says yes or no, and lets the list wait meanwhile.
ADD_SECONDS = 15.0
LIST, PLAYBACK = "list", "playback"


@chat_command(
    "playlist",
    usage="[place]",
    summary=f"shows {SHOWN} items of the playlist",
    details="Begins with what plays now, or at the place given. Places count from 1, as on the page.",
)
async def playlist(call: Call) -> Sequence[str]:
    """Ten items."""
    call.need("seeplaylist")
    room = call.room
    if not room.playlist:
        return ["The playlist is empty."]
    current = room.index(room.current_uid) if room.current_uid is not None else None
    start = _place(call, call.words[0]) if call.words else current or 0
    shown = range(start, min(start + SHOWN, len(room.playlist)))
    return [
        f"{wording.count(len(room.playlist), 'item')}, {wording.duration(room.playlist_seconds)}:",
        *(wording.item(room, i) for i in shown),
    ]


@chat_command("current", summary="says what plays now", details="Title, position, length, who added it, and the link.")
async def current(call: Call) -> Sequence[str]:
    """What plays."""
    room, playing = call.room, _playing(call.room)
    item = _current(room)
    answer = [
        playing.media.title,
        f"at {wording.length(max(1, call.session.position()))} of {wording.length(playing.media.seconds)}",
    ]
    answer += ["paused"] if playing.paused and playing.position >= 0 else []
    answer += [f"added by {item.queued_by}"] if item and item.queued_by else []
    return [*answer, f"{playing.media.type}:{playing.media.id}"]


@chat_command(
    "add",
    usage="<link> [next|end] [keep]",
    summary="adds something to the playlist",
    details="Takes links to YouTube, Vimeo, Dailymotion, SoundCloud, Twitch and https files, or `type:id`. It is added"
    " at the end, and leaves the playlist after it has played, unless `next` or `keep` say otherwise.",
)
async def add(call: Call) -> Sequence[str]:
    """Add, and wait for CyTube's yes or no."""
    if not call.words:
        raise UsageError("Which link?")
    link = medialink.parse(call.words[0])
    options = {word.lower() for word in call.words[1:]}
    if options - {"next", "end", "keep"} or {"next", "end"} <= options:
        raise UsageError("After the link only next or end, and keep.")
    if not call.certain:
        raise ActionRefused("The channel's formatting hides what you typed.", hint="Give the whole link.")
    allowance.check(call, link, following="next" in options, keep="keep" in options)
    request = {
        "id": link.id,
        "type": link.type,
        "pos": "next" if "next" in options else "end",
        "temp": "keep" not in options,
    }
    own = call.session.name

    def accept(event: str, data: Any, room: Room) -> Item | None:
        if event == "queueFail":
            raise ActionRefused(f"CyTube: {markup.plain(str(data.get('msg')))}")
        if event != "queue" or data["item"].get("queueby") != own:
            return None
        index = room.index(data["item"]["uid"])
        return None if index is None else room.playlist[index]

    item = await call.act("queue", request, accept, timeout=ADD_SECONDS)
    return [f"Added at place {(call.room.index(item.uid) or 0) + 1}: {item.media.title}"]


@chat_command(
    "remove",
    usage="<place>",
    summary="takes an item off the playlist",
    details="Places count from 1.",
    touches=LIST,
)
async def remove(call: Call) -> Sequence[str]:
    """Delete one item."""
    call.need("playlistdelete", "seeplaylist")
    item = _item(call, 0)
    await call.act("delete", item.uid, _gone(item), timeout=ADD_SECONDS)
    return [f"Removed: {item.media.title}"]


@chat_command(
    "move",
    usage="<from> <to>",
    summary="moves an item to another place",
    details="Both places count from 1; the item is at the second place afterwards.",
    touches=LIST,
)
async def move(call: Call) -> Sequence[str]:
    """Move one item."""
    call.need("playlistmove", "seeplaylist")
    if len(call.words) != 2:
        raise UsageError("From where to where?")
    item, target = _item(call, 0), _place(call, call.words[1])
    rest = [other for other in call.room.playlist if other.uid != item.uid]
    after: int | str = "prepend" if target == 0 else rest[target - 1].uid
    if call.room.index(item.uid) == target:
        raise ActionRefused("It is there already.")
    await call.act(
        "moveMedia", {"from": item.uid, "after": after}, _unless_gone(item, _moved(item.uid)), timeout=ADD_SECONDS
    )
    return [f"Moved to place {target + 1}: {item.media.title}"]


@chat_command("jump", usage="<place>", summary="plays an item now", details="Places count from 1.", touches=PLAYBACK)
async def jump(call: Call) -> Sequence[str]:
    """Jump to one item."""
    call.need("playlistjump", "seeplaylist")
    item = _item(call, 0)
    await call.act("jumpTo", item.uid, _unless_gone(item, _now(item.uid)))
    return [f"Playing: {item.media.title}"]


@chat_command(
    "next",
    summary="plays the next item",
    details="After the last item the first one plays again, if it is still there.",
    touches=PLAYBACK,
)
async def next_(call: Call) -> Sequence[str]:
    """Skip."""
    call.need("playlistjump")
    _playing(call.room)
    return [await call.act("playNext", None, _gone_on)]


@chat_command(
    "pause",
    summary="pauses what plays, or goes on",
    details="The bot makes itself leader to pause, and gives the lead back when it goes on, when something else plays"
    " or when the list ends. Live streams cannot be paused. The right to control the leader is needed.",
    touches=PLAYBACK,
)
async def pause(call: Call) -> Sequence[str]:
    """Toggle."""
    call.need("leaderctl")
    playing, own = _playing(call.room), call.session.name
    if call.room.leader not in {"", own}:
        raise ActionRefused(f"{call.room.leader} is leader.")
    if is_live(playing.media):
        raise ActionRefused(f"{playing.media.title} is live: it cannot be paused.")
    with unanswered():
        if call.room.leader == own:
            await call.leadership.go_on(call.session)
            return ["Going on."]
        await call.leadership.pause(call.session)
    return ["Paused. Say pause again to go on."]


@chat_command(
    "voteskip",
    summary="votes to skip what plays, and says how the vote stands",
    details="One vote, as anybody's. The channel's option decides whether votes are taken at all.",
    touches=PLAYBACK,
)
async def voteskip(call: Call) -> Sequence[str]:
    """Vote."""
    _playing(call.room)
    call.need("voteskip")
    if call.room.options.get("allow_voteskip") is False:
        raise ActionRefused("The channel takes no votes to skip.")

    item = call.room.current_uid
    if item is not None and call.session.voted == item:
        raise ActionRefused(f"I have voted already. {_votes(call.room)}")
    if not call.room.may("viewvoteskip"):
        await call.session.emit("voteskip")
        call.session.voted = item
        return [f"I voted. How the vote stands takes the rank {wording.rank(call.room.needed('viewvoteskip'))}."]

    def accept(event: str, data: Any, room: Room) -> str | None:
        return _votes(room) if event == "voteskip" else _gone_on(event, data, room)

    answer = await call.act("voteskip", None, accept)
    call.session.voted = item
    return [answer]


def _votes(room: Room) -> str:
    given, needed = room.voteskip
    return f"{wording.count(given, 'vote')} of {needed} needed."


def _gone_on(event: str, _data: Any, room: Room) -> str | None:
    """What plays after the present item; after the last one CyTube says nothing but that it is off the list."""
    if event == "changeMedia" and room.playback is not None:
        return f"Playing: {room.playback.media.title}"
    return "That was the last item: nothing plays now." if event == "delete" and not room.playlist else None


def _gone(item: Item) -> Accept:
    return lambda _event, _data, room: True if room.index(item.uid) is None else None


def _unless_gone(item: Item, accept: Accept) -> Accept:
    """CyTube stays silent about an item that somebody else has just taken away."""

    def either(event: str, data: Any, room: Room) -> Any:
        if room.index(item.uid) is None:
            raise ActionRefused(f"{item.media.title} is off the playlist.")
        return accept(event, data, room)

    return either


def _moved(uid: int) -> Accept:
    return lambda event, data, _room: True if event == "moveVideo" and data.get("from") == uid else None


def _now(uid: int) -> Accept:
    return lambda event, _data, room: True if event == "changeMedia" and room.current_uid == uid else None


def _playing(room: Room) -> Playback:
    if room.playback is None:
        raise ActionRefused("Nothing plays.")
    return room.playback


def _current(room: Room) -> Item | None:
    index = room.index(room.current_uid) if room.current_uid is not None else None
    return None if index is None else room.playlist[index]


def _item(call: Call, word: int) -> Item:
    if len(call.words) <= word:
        raise UsageError("Which place?")
    return call.room.playlist[_place(call, call.words[word])]


def _place(call: Call, word: str) -> int:
    """A place as people count, as an index."""
    count = len(call.room.playlist)
    if not count:
        raise ActionRefused("The playlist is empty.")
    if not word.isascii() or not word.isdecimal() or len(word) > 9 or not 1 <= int(word) <= count:
        raise UsageError(f"Places go from 1 to {count}." if count > 1 else "There is only place 1.")
    return int(word) - 1

"""What plays and what comes next: events to state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from botcore.room import parse
from botcore.room.model import Item, Media, Playback, Room


def playlist(room: Room, data: object) -> Room:
    """The whole playlist. What plays is kept only if its item is still there; `setCurrent` follows if not."""
    items = tuple(_item(entry) for entry in parse.sequence(data))
    kept = any(item.uid == room.current_uid for item in items)
    if kept:
        return replace(room, playlist=items)
    return replace(room, playlist=items, current_uid=None, playback=None)


def queue(room: Room, data: object) -> Room:
    """An item was added after the item `after`, or first ("prepend")."""
    item = _item(parse.key(data, "item"))
    rest = tuple(other for other in room.playlist if other.uid != item.uid)
    return replace(room, playlist=_insert(rest, item, parse.key(data, "after")))


def delete(room: Room, data: object) -> Room:
    """An item was taken away. If it was playing, nothing plays until `setCurrent` and `changeMedia` say what does."""
    uid = parse.integer(parse.key(data, "uid"))
    left = tuple(item for item in room.playlist if item.uid != uid)
    if uid == room.current_uid:
        return replace(room, playlist=left, current_uid=None, playback=None)
    return replace(room, playlist=left)


def move_video(room: Room, data: object) -> Room:
    """An item moved behind the item `after`, or to the front ("prepend") or end ("append")."""
    uid = parse.integer(parse.key(data, "from"))
    after = parse.key(data, "after")
    moved = [item for item in room.playlist if item.uid == uid]
    if not moved:
        return room
    rest = tuple(item for item in room.playlist if item.uid != uid)
    return replace(room, playlist=_insert(rest, moved[0], after))


def set_temp(room: Room, data: object) -> Room:
    """An item became temporary, or permanent."""
    uid = parse.integer(parse.key(data, "uid"))
    temp = parse.flag(parse.key(data, "temp"))
    items = tuple(replace(item, temp=temp) if item.uid == uid else item for item in room.playlist)
    return replace(room, playlist=items)


def set_current(room: Room, data: object) -> Room:
    """The item that plays. uid 0 is a valid item; null means none."""
    return replace(room, current_uid=None if data is None else parse.integer(data))


def change_media(room: Room, data: object) -> Room:
    """Another medium starts. The first position is −3, paused: the server gives players time to load."""
    entry = parse.record(data)
    started = Playback(
        media=_media(entry),
        position=parse.number(entry.get("currentTime", 0)),
        paused=parse.flag(entry.get("paused", False)),
    )
    return replace(room, playback=started)


def media_update(room: Room, data: object) -> Room:
    """Where playback is; sent every five seconds and at every pause."""
    position = parse.number(parse.key(data, "currentTime"))
    paused = parse.flag(parse.record(data).get("paused", False))
    if room.playback is None:
        return room
    return replace(room, playback=replace(room.playback, position=position, paused=paused))


def set_playlist_meta(room: Room, data: object) -> Room:
    """The length of the whole playlist."""
    return replace(room, playlist_seconds=parse.number(parse.key(data, "rawTime")))


def set_playlist_locked(room: Room, data: object) -> Room:
    """Whether only those with playlist rights may change it."""
    return replace(room, locked=parse.flag(data))


def voteskip(room: Room, data: object) -> Room:
    """Votes to skip, and how many are needed."""
    count, need = parse.integer(parse.key(data, "count")), parse.integer(parse.key(data, "need"))
    return replace(room, voteskip=(count, need))


def _insert(items: tuple[Item, ...], item: Item, after: object) -> tuple[Item, ...]:
    if after == "prepend":
        return (item, *items)
    if after != "append":
        uid = parse.integer(after)
        for index, other in enumerate(items, start=1):
            if other.uid == uid:
                return (*items[:index], item, *items[index:])
    # An anchor we do not know: the item exists all the same, and the end is where people add.
    return (*items, item)


def _item(data: object) -> Item:
    entry = parse.record(data)
    return Item(
        uid=parse.integer(parse.key(entry, "uid")),
        media=_media(parse.key(entry, "media")),
        temp=parse.flag(entry.get("temp", False)),
        queued_by=parse.text(entry.get("queueby", "")),
    )


def _media(data: object) -> Media:
    entry: Mapping[str, object] = parse.record(data)
    return Media(
        id=parse.text(parse.key(entry, "id")),
        type=parse.text(parse.key(entry, "type")),
        title=parse.text(parse.key(entry, "title")),
        seconds=parse.number(entry.get("seconds") or 0),
        duration=parse.text(entry.get("duration", "")),
    )

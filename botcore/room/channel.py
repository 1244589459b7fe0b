"""What the channel itself is like: permissions, options, looks, polls. Events to state."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

from botcore.room import parse
from botcore.room.model import Emote, Poll, Room


def set_permissions(room: Room, data: object) -> Room:
    """The rank each action needs."""
    entry = parse.record(data)
    return replace(room, permissions=MappingProxyType({name: parse.number(rank) for name, rank in entry.items()}))


def channel_opts(room: Room, data: object) -> Room:
    """The channel's options, kept as they come; `botcore.cytube.limits` reads `chat_antiflood`."""
    return replace(room, options=MappingProxyType(dict(parse.record(data))))


def channel_css_js(room: Room, data: object) -> Room:
    """The channel's own looks."""
    entry = parse.record(data)
    return replace(room, css=parse.text(entry.get("css", "")), script=parse.text(entry.get("js", "")))


def set_motd(room: Room, data: object) -> Room:
    """The message of the day, as HTML."""
    return replace(room, motd=parse.text(data))


def drink_count(room: Room, data: object) -> Room:
    """How many drinks were called."""
    return replace(room, drinks=parse.integer(data))


def emote_list(room: Room, data: object) -> Room:
    """All emotes."""
    emotes = [_emote(entry) for entry in parse.sequence(data)]
    return replace(room, emotes=MappingProxyType({emote.name: emote for emote in emotes}))


def update_emote(room: Room, data: object) -> Room:
    """An emote is new or changed."""
    emote = _emote(data)
    return replace(room, emotes=MappingProxyType({**room.emotes, emote.name: emote}))


def remove_emote(room: Room, data: object) -> Room:
    """An emote was taken away."""
    emotes = dict(room.emotes)
    emotes.pop(parse.text(parse.key(data, "name")), None)
    return replace(room, emotes=MappingProxyType(emotes))


def rename_emote(room: Room, data: object) -> Room:
    """An emote has another name."""
    emote = _emote(data)
    emotes = dict(room.emotes)
    emotes.pop(parse.text(parse.key(data, "old")), None)
    return replace(room, emotes=MappingProxyType({**emotes, emote.name: emote}))


def poll(room: Room, data: object) -> Room:
    """A poll was opened, or its counts changed."""
    entry = parse.record(data)
    counts = parse.sequence(parse.key(entry, "counts"))
    opened = Poll(
        title=parse.text(parse.key(entry, "title")),
        options=tuple(parse.text(option) for option in parse.sequence(parse.key(entry, "options"))),
        counts=tuple(count if isinstance(count, str) else parse.number(count) for count in counts),
        initiator=parse.text(entry.get("initiator", "")),
    )
    return replace(room, poll=opened)


def close_poll(room: Room, _data: object) -> Room:
    """The poll is over."""
    return replace(room, poll=None)


def not_registered(room: Room, _data: object) -> Room:
    """Nobody owns this channel; it vanishes with its last user."""
    return replace(room, registered=False)


def _emote(data: object) -> Emote:
    return Emote(name=parse.text(parse.key(data, "name")), image=parse.text(parse.record(data).get("image", "")))

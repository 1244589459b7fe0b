"""Who is in the room: events to state."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

from botcore.errors import MalformedEvent
from botcore.room import parse
from botcore.room.model import Room, User


def rank(room: Room, data: object) -> Room:
    """Our own rank."""
    return replace(room, rank=parse.number(data))


def userlist(room: Room, data: object) -> Room:
    """The whole list of named people; sent after a join and again when our rank crosses 2."""
    users = [_user(entry) for entry in parse.sequence(data)]
    return replace(room, listed=True, users=MappingProxyType({user.name.lower(): user for user in users}))


def add_user(room: Room, data: object) -> Room:
    """Somebody came, or took a name."""
    return _with(room, _user(data))


def user_leave(room: Room, data: object) -> Room:
    """Somebody left; unknown names are no news."""
    users = dict(room.users)
    users.pop(parse.text(parse.key(data, "name")).lower(), None)
    return replace(room, users=MappingProxyType(users))


def set_user_rank(room: Room, data: object) -> Room:
    """A rank changed."""
    user = room.user(parse.text(parse.key(data, "name")))
    new = parse.number(parse.key(data, "rank"))
    return room if user is None else _with(room, replace(user, rank=new))


def set_user_meta(room: Room, data: object) -> Room:
    """AFK, mutes and what moderators see changed."""
    user = room.user(parse.text(parse.key(data, "name")))
    meta = parse.record(parse.key(data, "meta"))
    return room if user is None else _with(room, _with_meta(user, meta))


def set_user_profile(room: Room, data: object) -> Room:
    """Somebody has another text or picture."""
    user = room.user(parse.text(parse.key(data, "name")))
    profile = parse.record(parse.key(data, "profile"))
    text, image = parse.text(profile.get("text", "")), parse.text(profile.get("image", ""))
    return room if user is None else _with(room, replace(user, profile_text=text, profile_image=image))


def set_afk(room: Room, data: object) -> Room:
    """Somebody went away or came back."""
    user = room.user(parse.text(parse.key(data, "name")))
    afk = parse.flag(parse.key(data, "afk"))
    return room if user is None else _with(room, replace(user, afk=afk))


def set_leader(room: Room, data: object) -> Room:
    """Who controls playback; "" when the server does."""
    return replace(room, leader=parse.text(data))


def usercount(room: Room, data: object) -> Room:
    """CyTube's count, with anonymous people, sent at most every ten seconds."""
    count = parse.integer(data)
    if count < 0:
        raise MalformedEvent("the count is negative")
    return replace(room, user_count=count)


def _with(room: Room, user: User) -> Room:
    return replace(room, users=MappingProxyType({**room.users, user.name.lower(): user}))


def _user(data: object) -> User:
    entry = parse.record(data)
    profile = parse.record(entry.get("profile") or {})
    user = User(
        name=parse.text(parse.key(entry, "name")),
        rank=parse.number(parse.key(entry, "rank")),
        profile_text=parse.text(profile.get("text", "")),
        profile_image=parse.text(profile.get("image", "")),
    )
    return _with_meta(user, parse.record(entry.get("meta") or {}))


def _with_meta(user: User, meta: object) -> User:
    entry = parse.record(meta)
    return replace(
        user,
        afk=parse.flag(entry.get("afk", user.afk)),
        muted=parse.flag(entry.get("muted", user.muted)),
        shadow_muted=parse.flag(entry.get("smuted", user.shadow_muted)),
        aliases=tuple(parse.text(alias) for alias in parse.sequence(entry.get("aliases", list(user.aliases)))),
        ip=parse.text(entry.get("ip", user.ip)),
    )

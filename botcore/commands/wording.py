"""Numbers and names as people read them."""

from __future__ import annotations

import time

from botcore.room import Item, Room, User

RANKS = (
    (255, "site admin"),
    (5, "creator"),
    (4, "owner"),
    (3, "admin"),
    (2, "moderator"),
    (1.5, "leader"),
    (1, "user"),
)


def count(number: int, one: str, many: str = "") -> str:
    """1 line, 2 lines; `many` is the plural that is not made with an s."""
    return f"{number} {one if number == 1 else many or f'{one}s'}"


def duration(seconds: float) -> str:
    """1 h 05 min, 3 min 20 s, 12 s, or 2 d 4 h."""
    whole = int(max(0, seconds))
    days, hours, minutes = whole // 86400, whole // 3600 % 24, whole // 60 % 60
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes:02d} min"
    if minutes:
        return f"{minutes} min {whole % 60:02d} s"
    return f"{whole} s"


def length(seconds: float) -> str:
    """The length of a medium; streams have none."""
    whole = int(max(0, seconds))
    if not whole:
        return "live"
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"


def stamp(unix: float) -> str:
    """A moment in UTC."""
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(unix))


def rank(value: float) -> str:
    """A rank by name."""
    return next((name for least, name in RANKS if value >= least), "guest" if value >= 0 else "anonymous")


def crowd(room: Room) -> str:
    """How many there are."""
    return f"{room.people} connected, {len(room.users)} by name"


def person(user: User) -> str:
    """A name with what matters about it."""
    marks = [rank(user.rank)] if user.rank >= 2 else []
    marks += ["AFK"] if user.afk else []
    marks += ["muted"] if user.muted else []
    return f"{user.name} ({', '.join(marks)})" if marks else user.name


def item(room: Room, index: int) -> str:
    """One line of the playlist; places count from 1."""
    entry: Item = room.playlist[index]
    playing = "▶ " if entry.uid == room.current_uid else ""
    return f"{playing}{index + 1}. {entry.media.title} [{length(entry.media.seconds)}]"

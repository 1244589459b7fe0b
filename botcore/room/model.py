"""What is known of a channel: immutable values, so that any thread may read a snapshot without a lock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

ANONYMOUS_RANK = -1.0
MODERATOR_RANK = 2.0


def _empty() -> Mapping[str, Any]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class User:
    """A named person in the room. `aliases` and `ip` are known to moderators only."""

    name: str
    rank: float
    afk: bool = False
    muted: bool = False
    shadow_muted: bool = False
    aliases: tuple[str, ...] = ()
    ip: str = ""
    profile_text: str = ""
    profile_image: str = ""


@dataclass(frozen=True, slots=True)
class Media:
    """Something that can be played. `seconds` is 0 for live streams and embeds."""

    id: str
    type: str
    title: str
    seconds: float
    duration: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """A place in the playlist. `uid` counts from 0 in the life of a channel."""

    uid: int
    media: Media
    temp: bool = False
    queued_by: str = ""


@dataclass(frozen=True, slots=True)
class Playback:
    """What plays now. `position` in seconds; it is negative while the server counts down to the start."""

    media: Media
    position: float
    paused: bool


@dataclass(frozen=True, slots=True)
class Poll:
    """The open poll. Counts are texts while the poll is obscured."""

    title: str
    options: tuple[str, ...]
    counts: tuple[float | str, ...]
    initiator: str


@dataclass(frozen=True, slots=True)
class Emote:
    """A picture that replaces a word."""

    name: str
    image: str


@dataclass(frozen=True, slots=True)
class Room:
    """Everything the server told us since the connection began.

    `users` is keyed by the lower-case name. `listed` is true from the first `userlist` on: the sign that a
    joinChannel succeeded. `user_count` is CyTube's own count with anonymous people, at most ten seconds old, and 0
    before the first one; `anonymous` is what an earlier session knew of people without a name.
    """

    rank: float = ANONYMOUS_RANK
    listed: bool = False
    users: Mapping[str, User] = field(default_factory=_empty)
    user_count: int = 0
    anonymous: int = 0
    leader: str = ""
    playlist: tuple[Item, ...] = ()
    playlist_seconds: float = 0
    locked: bool = False
    current_uid: int | None = None
    playback: Playback | None = None
    voteskip: tuple[int, int] = (0, 0)
    permissions: Mapping[str, float] = field(default_factory=_empty)
    options: Mapping[str, object] = field(default_factory=_empty)
    emotes: Mapping[str, Emote] = field(default_factory=_empty)
    motd: str = ""
    css: str = ""
    script: str = ""
    drinks: int = 0
    poll: Poll | None = None
    registered: bool = True

    @property
    def people(self) -> int:
        """How many are here, as far as CyTube has said."""
        return max(self.user_count or len(self.users) + self.anonymous, len(self.users))

    def user(self, name: str) -> User | None:
        """The person of that name, in any case."""
        return self.users.get(name.lower())

    def index(self, uid: int) -> int | None:
        """The place of an item in the playlist, counted from 0."""
        return next((index for index, item in enumerate(self.playlist) if item.uid == uid), None)

    def needed(self, action: str) -> float:
        """The rank that an action takes; while the list is open, one on it has an easier way. Unknown ones take a
        moderator.
        """
        needed = self.permissions.get(action, MODERATOR_RANK)
        return needed if self.locked else min(needed, self.permissions.get(f"o{action}", needed))

    def may(self, action: str, rank: float | None = None) -> bool:
        """Whether a rank, or our own, allows the action by the channel's permissions."""
        return (self.rank if rank is None else rank) >= self.needed(action)

"""What plays in a channel, and who may change it. Source: recording 14, 15 and 31; CyTube's own channel/playlist.js."""

import re
from collections.abc import Callable, Mapping
from random import Random

from sandbox.cytube.audience import Audience, Command, Handler
from sandbox.cytube.frames import as_number, as_object
from sandbox.cytube.playback import Playback
from sandbox.cytube.playlist import Item, Playlist
from sandbox.cytube.ranks import Ranks
from sandbox.cytube.session import Session

#: Seconds between two ``requestPlaylist`` of one user, and what is said to the second.
REQUEST_EVERY = 60
_TOO_OFTEN = "Get Playlist URLs is limited to 1 usage every 60 seconds.  Please try again later."
#: A leader has at least this rank while leading.
LEADER = 1.5
#: Types without a position: nobody can lead them.
LIVE = frozenset(("li", "tw", "us", "rt", "cu", "hb"))


class Player:
    """Playlist, current item and leader of one channel. ``changes`` are called whenever another item starts."""

    def __init__(self, audience: Audience, ranks: Ranks, *, shuffle: Random) -> None:
        self._audience = audience
        self._ranks = ranks
        self._shuffle = shuffle
        self.items = Playlist()
        self.current: Item | None = None
        self.leader: Session | None = None
        self.changes: list[Callable[[], None]] = []
        self._playback = Playback(audience.clock, updated=self._send_position, ended=self.play_next)
        self._requested: dict[str, float] = {}

    def handlers(self) -> Mapping[str, Handler]:
        """Events that are handled here."""
        return {
            "delete": self.delete,
            "moveMedia": self.move,
            "setTemp": self.set_temp,
            "jumpTo": self.jump,
            "playNext": self.skip,
            "shufflePlaylist": self.shuffle,
            "clearPlaylist": self.clear,
            "togglePlaylistLock": self.toggle_lock,
            "assignLeader": self.assign_leader,
            "mediaUpdate": self.follow,
            "requestPlaylist": self.request,
        }

    def commands(self) -> Mapping[str, Command]:
        """CyTube's own chat commands that are handled here."""
        return {
            "clean": lambda session, rest, meta: self._clean(session, rest, lambda item: item.queued_by),
            "cleantitle": lambda session, rest, meta: self._clean(session, rest, lambda item: item.media.title),
        }

    @property
    def current_uid(self) -> int | None:
        """Uid of what plays; None when nothing does, which 0 does not mean."""
        return None if self.current is None else self.current.uid

    def as_events(self) -> list[dict[str, object]]:
        """The list as ``playlist`` carries it."""
        return [item.as_event() for item in self.items]

    def send_playlist(self, session: Session) -> None:
        """Length and list."""
        session.send("setPlaylistMeta", self.items.meta_event())
        if self._audience.may(session, "seeplaylist"):
            session.send("playlist", self.as_events())

    def send_current(self, session: Session) -> None:
        """What plays, for somebody who joins; nothing when nothing does."""
        if self.current is not None:
            session.send("setCurrent", self.current.uid)
            session.send("changeMedia", self._change_event(self.current))

    def tell_viewers(self, event: str, data: object) -> None:
        """Tell those who may see the playlist."""
        self._audience.broadcast_from(self._audience.permissions["seeplaylist"], event, data)

    def send_length(self) -> None:
        """``setPlaylistMeta`` to everybody."""
        self._audience.broadcast("setPlaylistMeta", self.items.meta_event())

    # playing

    def play(self, item: Item | None) -> None:
        """Start an item, or nothing. Under a leader it stands at its beginning until the leader says more."""
        self.current = item
        if item is None:
            self._playback.stop()
            return
        self._playback.start(item.media.seconds, led=self.leader is not None)
        self._audience.broadcast("setCurrent", item.uid)
        self._audience.broadcast("changeMedia", self._change_event(item))
        for changed in self.changes:
            changed()

    def play_next(self) -> None:
        """Go on to the following item; a temporary one is deleted, and after the last of them nothing plays."""
        if self.current is None:
            return
        if self.current.temp:
            self.remove(self.current)
        else:
            self.play(self.items.following(self.current))

    def remove(self, item: Item) -> None:
        """Take an item off the list; when it was playing, the following one starts."""
        following = self.items.following(item)
        self.items.remove(item)
        self.tell_viewers("delete", {"uid": item.uid})
        self.send_length()
        if item is self.current:
            self.play(None if following is item else following)

    def pause(self) -> None:
        """Nobody is watching."""
        self._playback.stop()

    def resume(self) -> None:
        """Somebody is watching again."""
        if self.current is not None and self.leader is None:
            self._playback.go()

    def left(self, session: Session) -> None:
        """A member has gone; if it was the leader, the server leads again."""
        if self.leader is session:
            self.leader = None
            self._resume()

    def _change_event(self, item: Item) -> dict[str, object]:
        return item.media_event() | self._playback.as_event()

    def _send_position(self) -> None:
        self._audience.broadcast("mediaUpdate", self._playback.as_event())

    # what clients ask for; without permission or without such an item there is no answer

    def delete(self, session: Session, data: object) -> None:
        """Take an item off the list."""
        item = self.items.find(as_number(data))
        if item is not None and self._audience.may(session, "playlistdelete"):
            self.remove(item)

    def move(self, session: Session, data: object) -> None:
        """Put an item behind another one, first or last."""
        wanted = as_object(data, {"from": "number"})
        item = self.items.find(wanted["from"])
        if (
            item is not None
            and self._audience.may(session, "playlistmove")
            and self.items.move(item, wanted.get("after"))
        ):
            self._audience.broadcast("moveVideo", {"from": item.uid, "after": wanted.get("after")})

    def set_temp(self, session: Session, data: object) -> None:
        """Make an item stay or go after it has been played."""
        wanted = as_object(data, {"uid": "number", "temp": "boolean"})
        item = self.items.find(wanted["uid"])
        if item is not None and self._audience.may(session, "settemp"):
            item.temp = wanted["temp"]
            self._audience.broadcast("setTemp", {"uid": item.uid, "temp": item.temp})

    def jump(self, session: Session, data: object) -> None:
        """Play an item now."""
        item = self.items.find(as_number(data))
        if item is None or not self._audience.may(session, "playlistjump"):
            return
        old = self.current
        self.play(item)
        if old is not None and old.temp and old is not item:
            self.remove(old)

    def skip(self, session: Session, data: object) -> None:
        """Play the following item now."""
        if self._audience.may(session, "playlistjump"):
            self.play_next()

    def shuffle(self, session: Session, data: object) -> None:
        """Another order; the first item starts."""
        if self._audience.may(session, "playlistshuffle"):
            self.items.shuffle(self._shuffle)
            self.tell_viewers("playlist", self.as_events())
            self.play(self.items.following(None))

    def clear(self, session: Session, data: object) -> None:
        """Forget the list and stop."""
        if self._audience.may(session, "playlistclear"):
            self.items.clear()
            self.play(None)
            self._audience.broadcast("playlist", [])
            self.send_length()

    def toggle_lock(self, session: Session, data: object) -> None:
        """Open the list or close it."""
        if self._audience.may(session, "playlistlock"):
            self._audience.locked = not self._audience.locked
            self._audience.broadcast("setPlaylistLocked", self._audience.locked)

    def request(self, session: Session, data: object) -> None:
        """The list for one user, once a minute."""
        now = self._audience.clock.monotonic()
        last = self._requested.get(session.name)
        if last is not None and now - last < REQUEST_EVERY:
            session.send("errorMsg", {"msg": _TOO_OFTEN, "code": "REQ_PLAYLIST_LIMIT_REACHED"})
            return
        self._requested[session.name] = now
        self.send_playlist(session)
        if self.current is not None:
            session.send("setCurrent", self.current.uid)

    def _clean(self, session: Session, pattern: str, part: Callable[[Item], str]) -> None:
        if not self._audience.may(session, "playlistdelete"):
            return
        try:
            target = re.compile(pattern)
        except re.error:
            session.send("errorMsg", {"msg": f"Invalid target: {pattern}"})
            return
        for item in [item for item in self.items if target.search(part(item))]:
            self.remove(item)

    # leading

    def assign_leader(self, session: Session, data: object) -> None:
        """Let a member lead, or with an empty name the server. Without the right it ends in a kick."""
        wanted = as_object(data, {"name": "string"})
        if not self._audience.may(session, "leaderctl"):
            self._audience.expel(session, "Attempted assignLeader without sufficient permission")
            return
        self._depose()
        member = self._audience.find(wanted["name"])
        if not wanted["name"]:
            self._resume()
        elif member is None or member.name != wanted["name"]:
            sentence = f"Unable to assign leader: could not find user {wanted['name']}"
            session.send("errorMsg", {"msg": sentence})
        else:
            self._appoint(member)

    def follow(self, session: Session, data: object) -> None:
        """The leader's position; from anybody else, and for what has none, it means nothing."""
        wanted = as_object(data, {"id": "string", "currentTime": "number", "paused": "boolean?", "type": "string?"})
        if session is not self.leader or self.current is None or self.current.media.type in LIVE:
            return
        if wanted["id"] == self.current.media.id:
            self._playback.lead(wanted["currentTime"], paused=wanted.get("paused", False))

    def _depose(self) -> None:
        old, self.leader = self.leader, None
        if old is not None:
            old.rank = self._ranks.of(old)
            self._audience.announce_rank(old)

    def _appoint(self, member: Session) -> None:
        self.leader = member
        self._playback.stop()
        self._audience.broadcast("setLeader", member.name)
        if member.rank < LEADER:
            member.rank = LEADER
            member.send("rank", LEADER)
            self._audience.announce_rank(member)

    def _resume(self) -> None:
        self._audience.broadcast("setLeader", "")
        if self.current is not None:
            self._playback.release()

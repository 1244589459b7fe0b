"""How something gets onto the playlist. The sentences are those of recording 14 and 15."""

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from sandbox.cytube.audience import Audience, Handler
from sandbox.cytube.board import Board
from sandbox.cytube.config import Channel, Media, ServerConfig
from sandbox.cytube.frames import as_object
from sandbox.cytube.player import Player
from sandbox.cytube.playlist import Item
from sandbox.cytube.session import Session
from sandbox.cytube.text import escape_all

_LINKS = {"yt": "https://youtu.be/", "tw": "https://twitch.tv/"}
_SOURCE = re.compile(r"<iframe\b[^>]*\bsrc=\"([^\"]+)\"", re.IGNORECASE)
#: Types that take a permission of their own.
_SPECIAL = (
    (("yp",), "playlistaddlist", "playlists"),
    (("li", "tw", "us", "rt", "hb"), "playlistaddlive", "live media"),
    (("cu",), "playlistaddcustom", "custom embeds"),
    (("fi", "cm"), "playlistaddrawfile", "raw video files"),
)
_NO_KEY = (
    "The YouTube API now requires an API key.  Please see the documentation for youtube-v3-key in config.template.yaml"
)


class Refusal(Exception):
    """Why a medium cannot be queued, in the server's words. It never leaves the server: the client gets a queueFail."""


class Queueing:
    """Turns what people ask for into items of one channel's list."""

    def __init__(
        self, audience: Audience, board: Board, player: Player, definition: Channel | None, config: ServerConfig
    ) -> None:
        self._audience = audience
        self._board = board
        self._player = player
        self._stored = definition.playlists if definition else {}
        self._config = config

    def handlers(self) -> Mapping[str, Handler]:
        """Events that are handled here."""
        return {"queue": self.queue, "queuePlaylist": self.queue_playlist, "searchMedia": self.search}

    def queue(self, session: Session, data: object) -> None:
        """Queue one medium; silent without permission for the list, ``queueFail`` for everything else."""
        wanted = as_object(data, {"id": "string?", "type": "string", "pos": "string", "temp": "boolean?"})
        if not self._may_add(session, wanted["pos"]):
            return
        kind, media_id = wanted["type"], wanted.get("id", "")
        try:
            media = self._accept(session, kind, media_id, wanted)
        except Refusal as refusal:
            link = f"{_LINKS[kind]}{media_id}" if kind in _LINKS else ""
            session.send("queueFail", {"msg": str(refusal), "link": link, "id": media_id})
            return
        self._add([media], session, wanted)

    def queue_playlist(self, session: Session, data: object) -> None:
        """Queue a stored list by its name."""
        wanted = as_object(data, {"name": "string", "pos": "string", "temp": "boolean?"})
        stored = self._stored.get(wanted["name"])
        if stored and self._audience.may(session, "playlistaddlist"):
            self._add(stored, session, wanted)

    def search(self, session: Session, data: object) -> None:
        """Media of the sandbox whose titles contain the query."""
        wanted = as_object(data, {"query": "string", "source": "string?"})
        query = wanted["query"].lower()
        found = [media for media in self._config.media if query in media.title.lower()]
        results = [Item(media, 0, temp=False, queued_by="").media_event() for media in found]
        session.send("searchResults", {"source": wanted.get("source", "library"), "results": results})

    def _may_add(self, session: Session, position: str) -> bool:
        if not self._audience.may(session, "playlistadd"):
            return False
        return position != "next" or self._audience.may(session, "playlistnext")

    def _accept(self, session: Session, kind: str, media_id: str, wanted: Mapping[str, Any]) -> Media:
        if kind not in {"yt", "tw", "cu"} | {media.type for media in self._config.media}:
            raise Refusal(escape_all(f"Unknown media type '{kind}'"))
        for kinds, action, what in _SPECIAL:
            if kind in kinds and not self._audience.may(session, action):
                raise Refusal(f"You don't have permission to add {what}")
        rate = self._config.queue_rate if session.is_moderator else self._config.guest_queue_rate
        if session.queue_limiter.refuses(rate):
            raise Refusal("You are adding videos too quickly")
        media = self._look_up(kind, media_id, wanted)
        self._limit(session, media)
        if not self._board.options["allow_dupes"] and self._is_double(media, wanted["pos"]):
            raise Refusal("This item is already on the playlist")
        return media

    def _limit(self, session: Session, media: Media) -> None:
        """What the channel's options forbid to those who may not exceed them."""
        options, may = self._board.options, self._audience.may
        own = [item for item in self._player.items if item.queued_by.lower() == session.name.lower()]
        longest, most = _whole(options["maxlength"]), _whole(options["playlist_max_per_user"])
        total = _whole(options["playlist_max_duration_per_user"])
        if media.seconds == 0 and not may(session, "playlistaddlive"):
            raise Refusal("You don't have permission to add livestreams")
        if longest and media.seconds > longest and not may(session, "exceedmaxlength"):
            raise Refusal(f"Video exceeds the maximum length set by the channel admin: {longest} seconds")
        if most and len(own) >= most and not may(session, "exceedmaxitems"):
            raise Refusal("Channel limit exceeded: maximum number of videos per user")
        seconds = sum(item.media.seconds for item in own) + media.seconds
        if total and seconds >= total and not may(session, "exceedmaxdurationperuser"):
            raise Refusal("Channel limit exceeded: maximum total playlist time per user")

    def _is_double(self, media: Media, position: str) -> bool:
        """Next to what plays, a medium that waits elsewhere is moved instead."""
        existing = self._player.items.find_media(media)
        return existing is not None and (position == "end" or existing is self._player.current)

    def _look_up(self, kind: str, media_id: str, wanted: Mapping[str, Any]) -> Media:
        seconds = wanted.get("duration", 0)
        seconds = int(seconds) if isinstance(seconds, int | float) else 0
        if kind == "tw":
            return Media(media_id, f"Twitch.tv - {media_id}", seconds, "tw")
        if kind == "cu":
            return _embed(media_id, str(wanted.get("title") or "Custom Media"), seconds)
        known = next((media for media in self._config.media if (media.type, media.id) == (kind, media_id)), None)
        if known is None:
            raise Refusal(_NO_KEY if kind == "yt" else escape_all(f"Unknown media '{media_id}'"))
        return known

    def _add(self, media: Iterable[Media], session: Session, wanted: Mapping[str, Any]) -> None:
        player = self._player
        dupes = bool(self._board.options["allow_dupes"])
        after = player.current if wanted["pos"] == "next" else None
        temp = bool(wanted.get("temp", False)) or not self._audience.may(session, "addnontemp")
        first = None
        for each in media:
            existing = None if dupes else player.items.find_media(each)
            item, before = player.items.add(each, after=after, temp=temp, by=session.name)
            first = first or item
            after = item if after is not None else None
            if existing is not None and after is not None:
                item.temp = existing.temp
                player.remove(existing)
                before = player.items.before(item)
            player.tell_viewers("queue", {"item": item.as_event(), "after": before})
            player.send_length()
        if player.current is None and first is not None:
            player.play(first)


def _embed(markup: str, title: str, seconds: int) -> Media:
    source = _SOURCE.search(markup)
    if source is None:
        raise Refusal("Invalid embed code")
    digest = base64.b64encode(hashlib.sha256(markup.encode()).digest()).decode()
    return Media(f"cu:{digest}", title, seconds, "cu", {"embed": {"tag": "iframe", "src": source.group(1)}})


def _whole(option: object) -> int:
    return int(option) if isinstance(option, int | float) else 0

"""What hangs on the channel's wall: permissions, options, message of the day, emotes, filters and the drink count."""

import base64
import hashlib
import re
from collections.abc import Mapping

from sandbox.cytube.audience import Audience, Handler
from sandbox.cytube.config import Channel
from sandbox.cytube.frames import as_object
from sandbox.cytube.session import Session
from sandbox.cytube.text import FILTERS, ChatFilter, clean_html

#: Recording 02: what a registered channel starts with.
REGISTERED_PERMISSIONS: Mapping[str, float] = {
    "seeplaylist": -1, "playlistadd": 1.5, "playlistnext": 1.5, "playlistmove": 1.5, "playlistdelete": 2,
    "playlistjump": 1.5, "playlistaddlist": 1.5, "oplaylistadd": -1, "oplaylistnext": 1.5, "oplaylistmove": 1.5,
    "oplaylistdelete": 2, "oplaylistjump": 1.5, "oplaylistaddlist": 1.5, "playlistaddcustom": 3,
    "playlistaddrawfile": 2, "playlistaddlive": 1.5, "exceedmaxlength": 2, "addnontemp": 2, "settemp": 2,
    "playlistshuffle": 2, "playlistclear": 2, "pollctl": 1.5, "pollvote": -1, "viewhiddenpoll": 1.5, "voteskip": -1,
    "viewvoteskip": 1.5, "mute": 1.5, "kick": 1.5, "ban": 2, "motdedit": 3, "filteredit": 3, "filterimport": 3,
    "emoteedit": 3, "emoteimport": 3, "playlistlock": 2, "leaderctl": 2, "drink": 1.5, "chat": 0, "chatclear": 2,
    "exceedmaxitems": 2, "deletefromchannellib": 2, "exceedmaxdurationperuser": 2,
}  # fmt: skip

#: Recording 24: what a channel has that nobody registered.
UNREGISTERED_PERMISSIONS: Mapping[str, float] = {
    "seeplaylist": -1, "playlistadd": -1, "playlistnext": 0, "playlistmove": 0, "playlistdelete": 0, "playlistjump": 0,
    "playlistaddlist": 0, "oplaylistadd": -1, "oplaylistnext": 0, "oplaylistmove": 0, "oplaylistdelete": 0,
    "oplaylistjump": 0, "oplaylistaddlist": 0, "playlistaddcustom": 0, "playlistaddlive": 0, "exceedmaxlength": 0,
    "addnontemp": 0, "settemp": 0, "playlistshuffle": 0, "playlistclear": 0, "pollctl": 0, "pollvote": -1,
    "viewhiddenpoll": 1.5, "voteskip": -1, "viewvoteskip": 1.5, "playlistlock": 2, "leaderctl": 0, "drink": 0,
    "chat": 0, "chatclear": 2, "exceedmaxitems": 2, "deletefromchannellib": 2,
}  # fmt: skip

MOST_DRINKS = 10_000
_DRINK = re.compile(r"/d(-?[0-9]+)?")
_UNQUOTED = re.compile(r"[\\.?+*$^|()\[\]{}]")


def default_options(title: str, password: str) -> dict[str, object]:
    """``channelOpts`` of a new channel. Source: recording 02."""
    return {
        "allow_voteskip": True,
        "voteskip_ratio": 0.5,
        "afk_timeout": 600,
        "pagetitle": title,
        "maxlength": 0,
        "externalcss": "",
        "externaljs": "",
        "chat_antiflood": False,
        "chat_antiflood_params": {"burst": 4, "sustained": 1, "cooldown": 4},
        "show_public": False,
        "enable_link_regex": True,
        "password": password or False,
        "allow_dupes": False,
        "torbanned": False,
        "block_anonymous_users": False,
        "allow_ascii_control": False,
        "playlist_max_per_user": 0,
        "new_user_chat_delay": 0,
        "new_user_chat_link_delay": 0,
        "playlist_max_duration_per_user": 0,
    }


class Board:
    """Settings of one channel and the events that change them."""

    def __init__(self, audience: Audience, definition: Channel | None) -> None:
        self._audience = audience
        self.options = default_options(audience.name, definition.password if definition else "")
        self.motd = definition.motd if definition else ""
        self.emotes: dict[str, dict[str, object]] = {}
        self.filters = list(FILTERS)
        self.drinks = 0

    def handlers(self) -> Mapping[str, Handler]:
        """Events that are handled here."""
        return {
            "setMotd": self.set_motd,
            "setOptions": self.set_options,
            "setPermissions": self.set_permissions,
            "updateEmote": self.update_emote,
            "removeEmote": self.remove_emote,
            "requestChatFilters": self.send_filters,
            "addFilter": self.add_filter,
            "updateFilter": self.update_filter,
            "removeFilter": self.remove_filter,
        }

    def send_all(self, session: Session) -> None:
        """The part of the join burst between history and playlist."""
        session.send("drinkCount", self.drinks)
        empty = base64.b64encode(hashlib.md5(b"", usedforsecurity=False).digest()).decode()
        session.send("channelCSSJS", {"css": "", "cssHash": empty, "js": "", "jsHash": empty})
        session.send("setMotd", self.motd)
        session.send("channelOpts", self.options)

    def call_drinks(self, session: Session, text: str) -> str | None:
        """The line that ``/d`` with or without a number makes of its rest, "" for none; None when it is no such line or
        the session may not. CyTube looks at nothing but the beginning: ``/dance`` is a drink too (channel/drink.js).
        """
        called = _DRINK.match(text)
        if called is None or not self._audience.may(session, "drink"):
            return None
        count = int(called.group(1) or 1)
        if abs(count) > MOST_DRINKS:
            return ""
        rest = text[called.end() :].strip()
        self.drinks += count
        self._audience.broadcast("drinkCount", self.drinks)
        if not called.group(1):
            return f"{rest} drink!"
        return f"{rest} drink! (x{count})" if rest or count > 0 else ""

    def reset_drinks(self) -> None:
        """A new item starts with no drinks; everybody is told, also when there were none."""
        self.drinks = 0
        self._audience.broadcast("drinkCount", 0)

    def set_motd(self, session: Session, data: object) -> None:
        """Change the message of the day; markup that could run is dropped."""
        wanted = as_object(data, {"motd": "string"})
        if self._audience.may(session, "motdedit"):
            self.motd = clean_html(wanted["motd"])
            self._audience.broadcast("setMotd", self.motd)

    def set_options(self, session: Session, data: object) -> None:
        """Change channel options. Trying without being a moderator ends in a kick (recording 20)."""
        wanted = as_object(data, {})
        if not session.is_moderator:
            self._audience.expel(session, "Attempted setOptions as a non-moderator")
            return
        for key, value in wanted.items():
            if key in self.options:
                self.options[key] = value
        self.options["password"] = self.options["password"] or False
        self._audience.broadcast("channelOpts", self.options)

    def set_permissions(self, session: Session, data: object) -> None:
        """Change who may do what; below rank 3 it ends in a kick."""
        wanted = as_object(data, {})
        if session.rank < 3:
            self._audience.expel(session, "Attempted setPermissions as a non-admin")
        else:
            self._audience.permissions |= {
                key: value
                for key, value in wanted.items()
                if key in self._audience.permissions and isinstance(value, int | float)
            }
            self._audience.broadcast("setPermissions", self._audience.permissions)

    def update_emote(self, session: Session, data: object) -> None:
        """Add an emote or change its picture."""
        wanted = as_object(data, {"name": "string", "image": "string"})
        if self._audience.may(session, "emoteedit"):
            name = wanted["name"]
            quoted = _UNQUOTED.sub(lambda match: f"\\{match.group()}", name)
            emote = {"name": name, "image": wanted["image"], "source": f"(^|\\s){quoted}(?!\\S)"}
            self.emotes[name] = emote
            self._audience.broadcast("updateEmote", emote)

    def remove_emote(self, session: Session, data: object) -> None:
        """Take an emote away."""
        wanted = as_object(data, {"name": "string"})
        if self._audience.may(session, "emoteedit") and self.emotes.pop(wanted["name"], None) is not None:
            self._audience.broadcast("removeEmote", wanted)

    def send_filters(self, session: Session, data: object) -> None:
        """The chat filters, for those who may edit them."""
        if self._audience.may(session, "filteredit"):
            session.send("chatFilters", [each.as_event() for each in self.filters])

    def add_filter(self, session: Session, data: object) -> None:
        """A new filter; silent without the right."""
        each = self._filter(session, data)
        if each is None:
            return
        if any(other.name == each.name for other in self.filters):
            session.send("errorMsg", {"msg": "Filter add failed: Filter already exists", "alert": True})
            return
        self.filters.append(each)
        session.send("addFilterSuccess")
        self._tell_editors("updateChatFilter", each.as_event())

    def update_filter(self, session: Session, data: object) -> None:
        """Another content for a filter; silent without the right."""
        each = self._filter(session, data)
        if each is not None:
            self.filters = [each if other.name == each.name else other for other in self.filters]
            self._tell_editors("updateChatFilter", each.as_event())

    def remove_filter(self, session: Session, data: object) -> None:
        """A filter goes; silent without the right."""
        wanted = as_object(data, {"name": "string"})
        if self._audience.may(session, "filteredit"):
            self.filters = [each for each in self.filters if each.name != wanted["name"]]
            self._tell_editors("deleteChatFilter", wanted)

    def _filter(self, session: Session, data: object) -> ChatFilter | None:
        wanted = as_object(data, {"name": "string", "source": "string", "flags": "string", "replace": "string"})
        if not self._audience.may(session, "filteredit"):
            return None
        try:
            re.compile(wanted["source"])
        except re.error as wrong:
            session.send("errorMsg", {"msg": f"Invalid regex: {wrong}", "alert": True})
            return None
        active = bool(wanted.get("active"))
        return ChatFilter(wanted["name"], wanted["source"], wanted["flags"], wanted["replace"], active=active)

    def _tell_editors(self, event: str, data: object) -> None:
        self._audience.broadcast_from(self._audience.permissions["filteredit"], event, data)

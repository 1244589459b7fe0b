"""From event to state: one table of pure functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from botcore.errors import MalformedEvent, UnknownEvent
from botcore.room import channel, parse, playlist, users
from botcore.room.model import Room

Reducer = Callable[[Room, object], Room]


def _record(room: Room, data: object) -> Room:
    """Known, an object, and nothing to remember."""
    parse.record(data)
    return room


def _anything(room: Room, _data: object) -> Room:
    """Known, and nothing to remember."""
    return room


REDUCERS: Mapping[str, Reducer] = MappingProxyType(
    {
        "rank": users.rank,
        "userlist": users.userlist,
        "addUser": users.add_user,
        "userLeave": users.user_leave,
        "setUserRank": users.set_user_rank,
        "setUserMeta": users.set_user_meta,
        "setUserProfile": users.set_user_profile,
        "setAFK": users.set_afk,
        "setLeader": users.set_leader,
        "usercount": users.usercount,
        "playlist": playlist.playlist,
        "queue": playlist.queue,
        "delete": playlist.delete,
        "moveVideo": playlist.move_video,
        "setTemp": playlist.set_temp,
        "setCurrent": playlist.set_current,
        "changeMedia": playlist.change_media,
        "mediaUpdate": playlist.media_update,
        "setPlaylistMeta": playlist.set_playlist_meta,
        "setPlaylistLocked": playlist.set_playlist_locked,
        "voteskip": playlist.voteskip,
        "setPermissions": channel.set_permissions,
        "channelOpts": channel.channel_opts,
        "channelCSSJS": channel.channel_css_js,
        "setMotd": channel.set_motd,
        "drinkCount": channel.drink_count,
        "emoteList": channel.emote_list,
        "updateEmote": channel.update_emote,
        "removeEmote": channel.remove_emote,
        "renameEmote": channel.rename_emote,
        "newPoll": channel.poll,
        "updatePoll": channel.poll,
        "closePoll": channel.close_poll,
        "channelNotRegistered": channel.not_registered,
        # Read by the session, the outbox and the chat commands; nothing of the room changes.
        "chatMsg": _record,
        "pm": _record,
        "login": _record,
        "kick": _record,
        "errorMsg": _record,
        "queueFail": _record,
        "noflood": _record,
        "spamFiltered": _record,
        "channelRankFail": _record,
        "clearchat": _record,
        # News of the server, of filters, and about what we sent that nothing of ours waits for.
        "announcement": _anything,
        "partitionChange": _anything,
        "updateChatFilter": _anything,
        "deleteChatFilter": _anything,
        "addFilterSuccess": _anything,
        "queueWarn": _anything,
        "costanza": _anything,
        "validationError": _anything,
        "validationPassed": _anything,
        "warnLargeChandump": _anything,
        "readChanLog": _anything,
        "cooldown": _anything,
        "needPassword": _anything,
        "cancelNeedPassword": _anything,
        "clearVoteskipVote": _anything,
        "listPlaylists": _anything,
        "searchResults": _anything,
        "channelRanks": _anything,
        "chatFilters": _anything,
        "banlist": _anything,
        "banlistRemove": _anything,
    }
)


def reduce(room: Room, event: str, data: object = None) -> Room:
    """The room after the event.

    Raises UnknownEvent or MalformedEvent and nothing else; the room given is never changed.
    """
    reducer = REDUCERS.get(event)
    if reducer is None:
        raise UnknownEvent(f"unknown event {event!r}")
    try:
        return reducer(room, data)
    except MalformedEvent as error:
        raise MalformedEvent(f"{event}: {error}") from error

"""What it takes to add something to the playlist, for the bot and for whoever makes it add."""

from __future__ import annotations

from collections.abc import Iterator

from botcore.commands.call import Call
from botcore.commands.medialink import MediaLink
from botcore.errors import ActionRefused

# Types with a permission of their own (`handleQueue` in CyTube's playlist.js).
_OF_TYPE = {
    "yp": "playlistaddlist",
    "cu": "playlistaddcustom",
    **dict.fromkeys(("fi", "cm"), "playlistaddrawfile"),
    **dict.fromkeys(("li", "tw", "us", "rt", "hb", "hl"), "playlistaddlive"),
}


def check(call: Call, link: MediaLink, *, following: bool, keep: bool) -> None:
    """Raises ActionRefused for what the channel does not allow to the bot, or to the moderator alone."""
    call.need("playlistadd", "seeplaylist")
    call.need(*_needed(link, following=following, keep=keep))
    own = [item for item in call.room.playlist if item.queued_by == call.session.name]
    seconds = sum(item.media.seconds for item in own)
    # How long it is shows only when it is there, so that nobody adds through the bot where length is limited for them.
    for option, permission, reached in (
        ("maxlength", "exceedmaxlength", True),
        ("playlist_max_per_user", "exceedmaxitems", len(own)),
        ("playlist_max_duration_per_user", "exceedmaxdurationperuser", seconds),
    ):
        limit = call.room.options.get(option)
        if not isinstance(limit, int | float) or limit <= 0 or call.room.may(permission, call.rank):
            continue
        if call.room.may(permission) and (reached is True or reached >= limit):
            raise ActionRefused(
                f"The channel's limit {option} ({limit:g}) binds you and not me, so I do not add it for you."
            )


def _needed(link: MediaLink, *, following: bool, keep: bool) -> Iterator[str]:
    if following:
        yield "playlistnext"
    if keep:
        yield "addnontemp"
    if link.type in _OF_TYPE:
        yield _OF_TYPE[link.type]

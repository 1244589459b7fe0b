"""The state of the channel: pure functions from event to state."""

from botcore.room.model import ANONYMOUS_RANK, MODERATOR_RANK, Item, Media, Playback, Poll, Room, User
from botcore.room.reduce import REDUCERS, reduce

__all__ = [
    "ANONYMOUS_RANK",
    "MODERATOR_RANK",
    "REDUCERS",
    "Item",
    "Media",
    "Playback",
    "Poll",
    "Room",
    "User",
    "reduce",
]

"""The state of the channel: pure functions from event to state."""

from botcore.room.model import MODERATOR_RANK, Item, Media, Playback, Poll, Room, User
from botcore.room.reduce import REDUCERS, reduce

__all__ = ["MODERATOR_RANK", "REDUCERS", "Item", "Media", "Playback", "Poll", "Room", "User", "reduce"]

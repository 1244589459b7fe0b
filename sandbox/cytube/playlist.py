"""A playlist as data. Nothing here knows of time or of people."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from sandbox.cytube.config import Media


def duration(seconds: int) -> str:
    """``00:08``, ``01:02:05``, or ``--:--`` for what has no end."""
    return clock_face(seconds) if seconds else "--:--"


def clock_face(seconds: int) -> str:
    """Minutes and seconds, with hours where there are any."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{rest:02}" if hours else f"{minutes:02}:{rest:02}"


@dataclass(slots=True)
class Item:
    """One entry. A temporary one goes when it has been played. The first ``uid`` is 0, which is as good as any."""

    media: Media
    uid: int
    temp: bool
    queued_by: str

    def media_event(self) -> dict[str, object]:
        """The medium as ``queue`` and ``changeMedia`` carry it."""
        media = self.media
        return {
            "id": media.id,
            "title": media.title,
            "seconds": media.seconds,
            "duration": duration(media.seconds),
            "type": media.type,
            "meta": dict(media.meta),
        }

    def as_event(self) -> dict[str, object]:
        """The entry as ``playlist`` and ``queue`` carry it."""
        return {"media": self.media_event(), "uid": self.uid, "temp": self.temp, "queueby": self.queued_by}


class Playlist:
    """Entries in order."""

    def __init__(self) -> None:
        self._items: list[Item] = []
        self._next_uid = 0

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def find(self, uid: object) -> Item | None:
        """The entry with that uid."""
        return next((item for item in self._items if item.uid == uid), None)

    def find_media(self, media: Media) -> Item | None:
        """The first entry with that medium."""
        return next((item for item in self._items if (item.media.id, item.media.type) == (media.id, media.type)), None)

    def before(self, item: Item) -> int | str:
        """The uid of what stands before an entry, or "prepend"."""
        place = self._items.index(item)
        return self._items[place - 1].uid if place else "prepend"

    def add(self, media: Media, *, after: Item | None, temp: bool, by: str) -> tuple[Item, int | str]:
        """Put a medium after an entry, or at the end; tells its entry and what stands before it (or "prepend")."""
        item = Item(media, self._next_uid, temp, by)
        self._next_uid += 1
        place = len(self._items) if after is None else self._items.index(after) + 1
        self._items.insert(place, item)
        return item, self.before(item)

    def remove(self, item: Item) -> None:
        """Take an entry out."""
        self._items.remove(item)

    def move(self, item: Item, after: object) -> bool:
        """Put an entry behind another, or first ("prepend") or last ("append"); False when there is no such place."""
        other = self.find(after)
        if other is item or (other is None and after not in ("prepend", "append")):
            return False
        self._items.remove(item)
        place = len(self._items) if other is None else self._items.index(other) + 1
        self._items.insert(0 if after == "prepend" else place, item)
        return True

    def following(self, item: Item | None) -> Item | None:
        """What comes after ``item``; after the last comes the first."""
        if not self._items:
            return None
        if item is None or item not in self._items:
            return self._items[0]
        return self._items[(self._items.index(item) + 1) % len(self._items)]

    def clear(self) -> None:
        """Forget all; no uid is given twice."""
        self._items.clear()

    def shuffle(self, source: random.Random) -> None:
        """Another order, with new uids (recording 14)."""
        source.shuffle(self._items)
        for item in self._items:
            item.uid = self._next_uid
            self._next_uid += 1

    def meta_event(self) -> dict[str, object]:
        """Number and length as ``setPlaylistMeta`` carries them."""
        total = sum(item.media.seconds for item in self._items)
        return {"count": len(self._items), "rawTime": total, "time": clock_face(total)}

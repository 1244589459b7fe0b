"""What has arrived at a sink, for threads that wait for it."""

import os
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

T = TypeVar("T")

_UNSAFE = re.compile(r"[^A-Za-z0-9]+")


class MailSinkError(Exception):
    """Base of what sinks raise. ``reason`` is what happened, ``hint`` what to do about it."""

    def __init__(self, reason: str, *, hint: str = "") -> None:
        super().__init__(f"{reason} {hint}".strip())
        self.reason = reason
        self.hint = hint


class NotListening(MailSinkError):
    """The sink is not running."""


class NothingArrived(MailSinkError):
    """Nothing that matches arrived before the deadline."""


class Arrivals(Generic[T]):
    """Everything that arrived, in order. Safe to use from any thread."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._changed = threading.Condition()
        self._items: list[T] = []

    def add(self, item: T) -> None:
        """Keep ``item`` and wake those who wait."""
        with self._changed:
            self._items.append(item)
            self._changed.notify_all()

    def all(self) -> list[T]:
        """A copy of what is there, oldest first."""
        with self._changed:
            return list(self._items)

    def wait_for(self, predicate: Callable[[T], bool], deadline: float) -> T:
        """The first item that satisfies ``predicate``, waiting at most ``deadline`` seconds. Raises NothingArrived."""
        with self._changed:
            found = self._changed.wait_for(lambda: next(filter(predicate, self._items), None), deadline)
            if found is None:
                count = len(self._items)
                raise NothingArrived(
                    f"No matching {self._what} within {deadline:g} s.",
                    hint=f"{count} arrived in all; see them with all().",
                )
            return found


class Folder:
    """Writes arrivals as numbered files. A reader never sees half of one."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._number = 0
        self._lock = threading.Lock()
        if path is not None:
            path.mkdir(parents=True, exist_ok=True)

    def write(self, title: str, suffix: str, content: bytes) -> Path | None:
        """Write ``content`` to the next free number, with a readable ``title`` in the name; None without a folder."""
        if self._path is None:
            return None
        words = _UNSAFE.sub("-", title).strip("-").lower()[:60]
        with self._lock:
            while True:
                self._number += 1
                if not any(self._path.glob(f"{self._number:04}-*")):
                    break
            final = self._path / f"{self._number:04}-{words or 'untitled'}{suffix}"
            draft = self._path / f".{final.name}.part"
            draft.write_bytes(content)
            os.replace(draft, final)  # noqa: PTH105 - the atomic rename is the point
        return final

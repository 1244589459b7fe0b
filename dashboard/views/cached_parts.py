"""A part of a page that is the same for many visitors is drawn once a second, whatever their number.

The pages refresh themselves, so what people pay for looking is kept apart from how many look. Parts lie in files that
all web processes share, like the bots' answers.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from django.conf import settings

from dashboard.health.shared_cache import FRESH_SECONDS, Entry, SharedCache

STALE_SECONDS = 4.0  # shown while somebody else draws it anew
_TIMEOUT = 2.0


@dataclass(frozen=True)
class Part:
    """HTML that may be put into a page, and the title that the page gets with it."""

    title: str
    html: str
    mood: str = "calm"


def shared(name: str, draw: Callable[[], Part]) -> Part:
    """The part stored under `name` when it is younger than a second, else what `draw` makes."""
    cache = _cache_in(settings.STATE_DIR)
    if (entry := cache.fresh(name)) is not None:
        return _part(entry)
    entry = cache.read(name)
    usable = entry is not None and entry.age(time.monotonic()) < STALE_SECONDS
    with cache.refresh_lock(name, wait=0.0 if usable else _TIMEOUT) as lock:
        entry = cache.read(name)
        age = entry.age(time.monotonic()) if entry else STALE_SECONDS
        if entry and (age < FRESH_SECONDS or (lock is None and age < STALE_SECONDS)):
            return _part(entry)
        part = draw()
        cache.write(name, Entry(200, part.html.encode(), {"title": part.title, "mood": part.mood}, time.monotonic()))
        return part


@lru_cache(maxsize=4)
def _cache_in(state_dir: Path) -> SharedCache:
    return SharedCache(state_dir / "pages")


def _part(entry: Entry) -> Part:
    return Part(entry.headers["title"], entry.body.decode(), entry.headers.get("mood", "calm"))

"""The recording of a real CyTube server, as events per connection."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

PATH = Path(__file__).parents[1] / "data" / "cytube-transcript.jsonl"
_PSEUDO = ("<", "GET ")


@dataclass(frozen=True)
class Entry:
    """One line of the recording."""

    scenario: str
    client: str
    direction: str
    event: str
    data: Any
    ms: float


@cache
def entries() -> tuple[Entry, ...]:
    """All lines."""
    lines = map(json.loads, PATH.read_text(encoding="utf-8").splitlines())
    return tuple(
        Entry(line["scenario"], line["client"], line["dir"], line["event"], line["data"], line["ms"]) for line in lines
    )


def clients() -> list[str]:
    """Everybody who was connected."""
    return sorted({entry.client for entry in entries() if entry.event == "<connect>"})


def received(client: str) -> Iterator[tuple[Entry, bool]]:
    """What one client got, and whether a new connection began before it."""
    fresh = True
    for entry in entries():
        if entry.client != client or entry.direction != "in":
            continue
        if entry.event == "<connect>":
            fresh = True
        elif not entry.event.startswith(_PSEUDO):
            yield entry, fresh
            fresh = False


def event_names() -> set[str]:
    """Every event name that a server sent."""
    return {e.event for e in entries() if e.direction == "in" and not e.event.startswith(_PSEUDO)}

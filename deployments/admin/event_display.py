"""Audit events in words."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from deployments.audit import events
from deployments.models import AuditEvent

_TELLING = (
    "reason",
    "comment",
    "sentence",
    "outcome",
    "name",
    "release",
    "roles",
    "scopes",
    "address",
    "version",
    "why",
    "url",
)


@dataclass(frozen=True)
class ShownEvent:
    """One event as a list shows it."""

    pk: int
    at: datetime
    actor: str
    environment: str
    words: str
    tone: str
    gist: str


def shown(event: AuditEvent) -> ShownEvent:
    """An event for people."""
    known = events.event(event.name)
    return ShownEvent(event.pk, event.at, event.actor, event.environment, known.title, known.tone, gist(event.data))


def gist(data: dict[str, Any]) -> str:
    """The most telling part of an event's data, on one line."""
    changes = data.get("changes")
    if isinstance(changes, dict):
        return "; ".join(_change(field, *pair) for field, pair in changes.items() if pair[0] or pair[1])[:300]
    if isinstance(changes, list):
        return _short("; ".join(_said(item) for item in changes), 160)
    if isinstance(data.get("version"), int):
        return f"version {data['version']}"
    return next((_short(data[key], 300) for key in _TELLING if data.get(key)), "")


def pretty(data: dict[str, Any]) -> str:
    """All of it."""
    return json.dumps(data, indent=2, ensure_ascii=False, sort_keys=True)


def _change(field: str, old: Any, new: Any) -> str:
    return f"{field}: {_short(new)}" if old is None else f"{field}: {_short(old)} → {_short(new)}"


def _said(item: Any) -> str:
    """One of a list of changes: a sentence, or what provisioning made of something on a server."""
    return f"{item['what']}: {item['after']}" if isinstance(item, dict) else str(item)


def _short(value: Any, most: int = 60) -> str:
    if value in (None, "", [], {}):
        return "–"
    if isinstance(value, dict):
        text = json.dumps(value, ensure_ascii=False)
    else:
        text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= most else f"{text[: most - 1]}…"

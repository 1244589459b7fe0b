"""Audit events in words."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Model

from deployments.admin.confirmations import change_url
from deployments.audit import events
from deployments.models import AuditEvent, Deployment, Environment, Release, Server

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
    "title",
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
    counted = f"{data['approvals']} approvals" if data.get("approvals") else ""
    return next((_short(data[key], 300) for key in _TELLING if data.get(key)), counted)


def facts_of(data: dict[str, Any]) -> list[tuple[str, str]]:
    """What an event holds, a name and a value each; what is empty is left out, and what changed stands apart."""
    return [
        (name.replace("_", " ").capitalize(), _short(value, 500))
        for name, value in data.items()
        if value not in (None, "", [], {}) and not (name == "changes" and changes_of(data))
    ]


def changes_of(data: dict[str, Any]) -> list[tuple[str, str, str]]:
    """What was changed: field, before, after."""
    changes = data.get("changes")
    if not isinstance(changes, dict):
        return []
    pairs = {field: pair for field, pair in changes.items() if isinstance(pair, list) and len(pair) == 2}
    return [(field.replace("_", " "), _short(old, 300), _short(new, 300)) for field, (old, new) in pairs.items()]


def address_of(subject: str) -> str:
    """The page of what an event is about; empty where it has none, or is gone."""
    kind, _, key = subject.partition(":")
    found: Any = None
    if kind == "deployment" and key.isdecimal():
        found = Deployment.objects.filter(pk=key).only("pk").first()
    elif kind == "environment":
        found = next((row for row in Environment.objects.all() if str(row) == key), None)
    elif kind in _BY_NAME:
        model, column = _BY_NAME[kind]
        found = model._default_manager.filter(**{column: key}).only("pk").first()
    return change_url(found) if found is not None else ""


@dataclass(frozen=True)
class Subject:
    """What an event is about, in words, with its page; no `url` where it has none, or is gone."""

    words: str
    url: str = ""


def subjects_of(events: Iterable[AuditEvent]) -> dict[str, Subject]:
    """The subject of each of them. A query for each kind of subject, however many events there are."""
    keys: dict[str, set[str]] = {}
    for event in events:
        kind, _, key = event.subject.partition(":")
        keys.setdefault(kind, set()).add(key)
    found: dict[str, Subject] = {}
    numbers = [int(key) for key in keys.get("deployment", ()) if key.isdecimal() and len(key) < 19]
    for row in Deployment.objects.filter(pk__in=numbers).select_related("release").only("release__identifier"):
        words = f"deployment #{row.pk} of {str(row.release).rpartition('-')[0]}"
        found[f"deployment:{row.pk}"] = Subject(words, change_url(row))
    places = Environment.objects.only("name", "application", "shared_name")
    for place in places if "environment" in keys else ():
        found[f"environment:{place}"] = Subject(str(place), change_url(place))
    for kind, (model, column) in _BY_NAME.items():
        rows = model._default_manager.filter(**{f"{column}__in": keys.get(kind, ())}).only(column)
        for one in rows if kind in keys else ():
            name = getattr(one, column)
            words = f"release {name.rpartition('-')[0]}" if kind == "release" else name
            found[f"{kind}:{name}"] = Subject(words, change_url(one))
    return found


_BY_NAME: dict[str, tuple[type[Model], str]] = {
    "server": (Server, "name"),
    "release": (Release, "identifier"),
    "person": (User, "username"),
}


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
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        text = json.dumps(value, ensure_ascii=False)
    else:
        text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= most else f"{text[: most - 1]}…"

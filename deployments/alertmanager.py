"""Alertmanager's API v2: silences, and alerts of a drill.

AlertmanagerError               it could not be asked, or said no
├── AlertmanagerUnreachable     nothing answers at ALERTMANAGER_URL
└── AlertmanagerRefused         it answered, and refused
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx
from django.conf import settings

from deployments.errors import PortalError

TIMEOUT_SECONDS = 5.0


class AlertmanagerError(PortalError):
    """Alertmanager could not be asked, or said no."""

    reason = "alertmanager"


class AlertmanagerUnreachable(AlertmanagerError):
    """Nothing answers at ALERTMANAGER_URL."""

    reason = "alertmanager_unreachable"
    permanent = False


class AlertmanagerRefused(AlertmanagerError):
    """It answered, and refused."""

    reason = "alertmanager_refused"


@dataclass(frozen=True)
class Matcher:
    """One condition on a label; `regex` values must match the whole label."""

    name: str
    value: str
    regex: bool = False


@dataclass(frozen=True)
class Silence:
    """A silence as Alertmanager knows it; `state` is active, pending or expired."""

    identifier: str
    state: str
    created_by: str
    comment: str
    ends_at: datetime
    matchers: tuple[Matcher, ...]


def create_silence(
    *, matchers: Sequence[Matcher], starts_at: datetime, ends_at: datetime, created_by: str, comment: str
) -> str:
    """Silence what matches between two moments; returns the silence's identifier. Raises AlertmanagerError."""
    document = {
        "matchers": [
            {"name": each.name, "value": each.value, "isRegex": each.regex, "isEqual": True} for each in matchers
        ],
        "startsAt": starts_at.isoformat(),
        "endsAt": ends_at.isoformat(),
        "createdBy": created_by,
        "comment": comment,
    }
    return str(_ask("POST", "silences", document)["silenceID"])


def silences() -> list[Silence]:
    """Every silence it remembers, expired ones too. Raises AlertmanagerError."""
    return [
        Silence(
            identifier=each["id"],
            state=each["status"]["state"],
            created_by=each["createdBy"],
            comment=each["comment"],
            ends_at=datetime.fromisoformat(each["endsAt"].replace("Z", "+00:00")),
            matchers=tuple(Matcher(one["name"], one["value"], one["isRegex"]) for one in each["matchers"]),
        )
        for each in _ask("GET", "silences")
    ]


def expire_silence(identifier: str) -> None:
    """End a silence now. Raises AlertmanagerError."""
    _ask("DELETE", f"silence/{identifier}")


def post_alert(
    *, labels: Mapping[str, str], annotations: Mapping[str, str], starts_at: datetime, ends_at: datetime
) -> None:
    """Report an alert, as Prometheus would; with `ends_at` in the past it is resolved. Raises AlertmanagerError."""
    alert = {
        "labels": dict(labels),
        "annotations": dict(annotations),
        "startsAt": starts_at.isoformat(),
        "endsAt": ends_at.isoformat(),
    }
    _ask("POST", "alerts", [alert])


def receivers() -> list[str]:
    """Names of the receivers that are configured. Raises AlertmanagerError."""
    return [each["name"] for each in _ask("GET", "receivers")]


def configuration() -> str:
    """Its configuration as it runs, secrets hidden. Raises AlertmanagerError."""
    return str(_ask("GET", "status")["config"]["original"])


def _ask(method: str, path: str, document: Any = None) -> Any:
    url = f"{settings.ALERTMANAGER_URL}/api/v2/{path}"
    try:
        answer = httpx.request(method, url, json=document, timeout=TIMEOUT_SECONDS)
    except httpx.HTTPError as error:
        raise AlertmanagerUnreachable(
            f"Alertmanager does not answer at {settings.ALERTMANAGER_URL} ({type(error).__name__}).",
            hint="Look whether it runs, and at ALERTMANAGER_URL.",
        ) from error
    if answer.is_error:
        raise AlertmanagerRefused(f"Alertmanager refused ({answer.status_code}): {answer.text.strip()[:300]}")
    return answer.json() if answer.content else None

"""Alertmanager's API v2: silences, what fires, and alerts of a drill.

AlertmanagerError               it could not be asked, or said no
├── AlertmanagerUnreachable     nothing answers at ALERTMANAGER_URL
│   └── NotConfigured           there is no ALERTMANAGER_URL
├── AlertmanagerRefused         it answered, and refused
└── NotAlertmanager             something else answered
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from engine import http_client
from engine.errors import PortalError

Document = TypeVar("Document")
TIMEOUT_SECONDS = 5.0
_LOOK = "Look whether it runs, and at ALERTMANAGER_URL."
_REQUESTS = re.compile(r'alertmanager_notification_requests(_failed)?_total\{integration="([a-z]+)"\} ([0-9.e+]+)')


class AlertmanagerError(PortalError):
    """Alertmanager could not be asked, or said no."""

    reason = "alertmanager"
    http_status = 502


class AlertmanagerUnreachable(AlertmanagerError):
    """Nothing answers at ALERTMANAGER_URL."""

    reason = "alertmanager_unreachable"
    permanent = False


class NotConfigured(AlertmanagerUnreachable):
    """There is no ALERTMANAGER_URL: nobody is asked, and nobody is told."""

    reason = "alertmanager_not_configured"
    permanent = True
    http_status = 409


class AlertmanagerRefused(AlertmanagerError):
    """It answered, and refused."""

    reason = "alertmanager_refused"


class NotAlertmanager(AlertmanagerError):
    """Something answers at ALERTMANAGER_URL, and not as Alertmanager does."""

    reason = "not_alertmanager"


@dataclass(frozen=True)
class Matcher:
    """One condition on a label; `regex` values must match the whole label.

    Only Alertmanager asks whether a label fulfils it: its patterns are other people's, in Go's language, where none
    takes long. Python's would hold the process for as long as the writer likes.
    """

    name: str
    value: str
    regex: bool = False
    equal: bool = True

    def __str__(self) -> str:
        return self._written(self.value)

    @property
    def filter(self) -> str:
        """As Alertmanager's parameter `filter` reads it: backslash, quote and line feed escaped (labels/parse.go)."""
        return self._written(self.value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n"))

    def _written(self, value: str) -> str:
        sign = {(True, True): "=~", (True, False): "!~", (False, True): "=", (False, False): "!="}
        return f'{self.name}{sign[self.regex, self.equal]}"{value}"'


@dataclass(frozen=True)
class Silence:
    """A silence as Alertmanager knows it; `state` is active, pending or expired."""

    identifier: str
    state: str
    created_by: str
    comment: str
    starts_at: datetime
    ends_at: datetime
    matchers: tuple[Matcher, ...]


@dataclass(frozen=True)
class ActiveAlert:
    """An alert that Alertmanager holds; `state` is active, suppressed (silenced or inhibited) or unprocessed.

    `silenced_by` has the identifiers of the silences that cover it now.
    """

    fingerprint: str
    labels: Mapping[str, str]
    state: str
    starts_at: datetime
    silenced_by: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The label alertname."""
        return self.labels.get("alertname", "unnamed")


@dataclass(frozen=True)
class Taken:
    """Messages that an integration took, and requests that failed (each is tried again)."""

    messages: int = 0
    failures: int = 0


class Alertmanager:
    """One Alertmanager, asked at its address; every method raises AlertmanagerError."""

    def __init__(self, url: str) -> None:
        self.url = url

    def create_silence(
        self, *, matchers: Sequence[Matcher], starts_at: datetime, ends_at: datetime, created_by: str, comment: str
    ) -> str:
        """Silence what matches between two moments; returns the silence's identifier. Raises AlertmanagerError."""
        document = {
            "matchers": [
                {"name": each.name, "value": each.value, "isRegex": each.regex, "isEqual": each.equal}
                for each in matchers
            ],
            "startsAt": starts_at.isoformat(),
            "endsAt": ends_at.isoformat(),
            "createdBy": created_by,
            "comment": comment,
        }
        return self._read(lambda: str(self._ask("POST", "silences", document)["silenceID"]))

    def silences(self) -> list[Silence]:
        """Every silence it remembers, expired ones too. Raises AlertmanagerError."""
        return self._read(lambda: [_silence(each) for each in self._ask("GET", "silences")])

    def alerts(self, matchers: Sequence[Matcher] = ()) -> list[ActiveAlert]:
        """What it holds now and matches, silenced and inhibited alerts too. Raises AlertmanagerError."""
        filters = [each.filter for each in matchers]
        return self._read(lambda: [_active(each) for each in self._ask("GET", "alerts", filter=filters)])

    def expire_silence(self, identifier: str) -> None:
        """End a silence now. Raises AlertmanagerError."""
        self._ask("DELETE", f"silence/{identifier}")

    def post_alert(
        self, *, labels: Mapping[str, str], annotations: Mapping[str, str], starts_at: datetime, ends_at: datetime
    ) -> None:
        """Report an alert, as Prometheus would; with `ends_at` in the past it is resolved. Raises AlertmanagerError."""
        alert = {
            "labels": dict(labels),
            "annotations": dict(annotations),
            "startsAt": starts_at.isoformat(),
            "endsAt": ends_at.isoformat(),
        }
        self._ask("POST", "alerts", [alert])

    def integrations(self) -> set[str]:
        """What it sends with besides the portal's webhook: email, slack. Raises AlertmanagerError."""
        text = self._read(lambda: str(self._ask("GET", "status")["config"]["original"]))  # as it runs, secrets hidden
        return {name for name, key in {"email": "email_configs", "slack": "slack_configs"}.items() if f"{key}:" in text}

    def taken(self) -> dict[str, Taken]:
        """What each integration has taken since Alertmanager started. Raises AlertmanagerError."""
        answer = self._answer("GET", "/metrics")
        counts: dict[str, dict[str, int]] = {}
        for failed, name, value in _REQUESTS.findall(answer.text):
            counts.setdefault(name, {"": 0, "_failed": 0})[failed] = int(float(value))
        return {name: Taken(both[""] - both["_failed"], both["_failed"]) for name, both in counts.items()}

    def running_since(self) -> datetime:
        """When it was started. Raises AlertmanagerError."""
        return self._read(lambda: datetime.fromisoformat(self._ask("GET", "status")["uptime"]))

    def _ask(self, method: str, path: str, document: Any = None, **query: Sequence[str]) -> Any:
        answer = self._answer(method, f"/api/v2/{path}", document, query)
        return self._read(answer.json) if answer.content else None

    def _answer(
        self, method: str, path: str, document: Any = None, query: Mapping[str, Sequence[str]] | None = None
    ) -> http_client.Response:
        if not self.url:
            raise NotConfigured("No Alertmanager is configured.", hint="Set ALERTMANAGER_URL to the address of yours.")
        try:
            answer = http_client.ask(
                method, f"{self.url}{path}", timeout=TIMEOUT_SECONDS, query=query, document=document
            )
        except http_client.Unanswered as error:
            raise AlertmanagerUnreachable(
                f"Alertmanager does not answer at {self.url} ({error}).", hint=_LOOK
            ) from error
        if answer.is_error:
            raise AlertmanagerRefused(f"Alertmanager refused ({answer.status_code}): {answer.text.strip()[:300]}")
        return answer

    def _read(self, read: Callable[[], Document]) -> Document:
        try:
            return read()
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise NotAlertmanager(
                f"What answers at {self.url} does not speak as Alertmanager does ({type(error).__name__}).", hint=_LOOK
            ) from error


def _silence(document: Any) -> Silence:
    return Silence(
        identifier=document["id"],
        state=document["status"]["state"],
        created_by=document["createdBy"],
        comment=document["comment"],
        starts_at=datetime.fromisoformat(document["startsAt"]),
        ends_at=datetime.fromisoformat(document["endsAt"]),
        matchers=tuple(
            Matcher(one["name"], one["value"], one["isRegex"], one.get("isEqual", True)) for one in document["matchers"]
        ),
    )


def _active(document: Any) -> ActiveAlert:
    return ActiveAlert(
        fingerprint=document["fingerprint"],
        labels=document["labels"],
        state=document["status"]["state"],
        starts_at=datetime.fromisoformat(document["startsAt"]),
        silenced_by=tuple(document["status"]["silencedBy"]),
    )

"""Reading a bot's /metrics into the numbers that a validation keeps."""

from collections.abc import Iterator
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from dashboard.errors import BotSilent
from dashboard.health import upstream
from deployments.models import Server

BODY_LIMIT = 256 * 1024
_SINGLE = {
    "bot_connected": "connected",
    "bot_uptime_seconds": "uptime",
    "bot_loop_lag_seconds": "lag",
    "bot_reconnects_total": "reconnects",
    "bot_requests_total": "requests",
    "process_resident_memory_bytes": "rss",
}
_SUMMED = {"bot_errors_total": "errors"}
_BY_LABEL = {"bot_events_total": ("events", "event"), "bot_commands_total": ("commands", "command")}
_BUCKETS = "bot_response_seconds_bucket"
LARGEST = 1e15
"""No bot counts that far, and no byte of memory is beyond it."""


def read(server: Server) -> dict[str, Any]:
    """What the bot on `server` counts; empty when it does not answer, or not with metrics."""
    facts: Any = server.facts.get("health") if isinstance(server.facts, dict) else None
    port = facts.get("port") if isinstance(facts, dict) else None
    if not isinstance(port, int):
        return {}
    try:
        answer = upstream.fetch(server.host, port, "/metrics", limit=BODY_LIMIT)
        return parsed(answer.body.decode())
    except (BotSilent, ValueError, KeyError):  # the last two: no exposition, or one without the labels it needs
        return {}


def parsed(text: str) -> dict[str, Any]:
    """The numbers in an exposition of metrics; those that are not there are left out."""
    found: dict[str, Any] = {}
    for name, labels, value in _samples(text):
        if name in _SINGLE:
            found[_SINGLE[name]] = value
        elif name in _SUMMED:
            found[_SUMMED[name]] = found.get(_SUMMED[name], 0.0) + value
        elif name in _BY_LABEL:
            key, label = _BY_LABEL[name]
            kinds = found.setdefault(key, {})
            kinds[labels[label]] = kinds.get(labels[label], 0.0) + value
        elif name == _BUCKETS:
            float(labels["le"])
            found.setdefault("response", {})[labels["le"]] = value
    return found


def _samples(text: str) -> Iterator[tuple[str, dict[str, str], float]]:
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if abs(sample.value) < LARGEST:  # nor NaN
                yield sample.name, sample.labels, sample.value

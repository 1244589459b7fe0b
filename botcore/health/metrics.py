"""`/metrics` in the Prometheus text format, made from the snapshot at scrape time."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST as CONTENT_TYPE
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from botcore.health.document import Snapshot
from botcore.telemetry import Histogram

__all__ = ["CONTENT_TYPE", "render"]


def render(snapshot: Snapshot) -> bytes:
    """The page, with the process's own numbers (RSS, CPU, start time) from prometheus_client."""
    registry = CollectorRegistry(auto_describe=False)
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    registry.register(_BotCollector(snapshot))
    return generate_latest(registry)


class _BotCollector(Collector):
    def __init__(self, snapshot: Snapshot) -> None:
        self._now = snapshot

    def collect(self) -> Iterator[Metric]:
        now, counted = self._now, self._now.telemetry
        info = {"version": now.version, "release": now.release, "channel": now.channel}
        yield InfoMetricFamily("bot", "Which release runs, for which channel.", info)
        yield _gauge("bot_connected", "1 while the bot is in the room.", float(now.connected))
        in_room = time.monotonic() - now.status.since if now.connected else 0.0
        yield _gauge("bot_connection_uptime_seconds", "Time in the room without a break; 0 when not in it.", in_room)
        yield _gauge("bot_uptime_seconds", "Time since the process started.", counted.uptime)
        yield _gauge("bot_users", "People in the room, anonymous ones included.", now.document()["user_count"])
        yield _gauge("bot_loop_lag_seconds", "How late the event loop is now.", counted.loop_lag)
        yield _gauge("bot_outbound_queue_length", "Messages waiting to be said.", now.queue_length)
        disk = shutil.disk_usage(".")  # the release lies beside the data
        yield _gauge("bot_disk_free_bytes", "Room left on the bot's disk.", disk.free)
        yield _gauge("bot_disk_size_bytes", "Size of the bot's disk.", disk.total)
        yield _counter("bot_reconnects", "Sessions after the first.", max(0, counted.sessions - 1))
        yield _counter("bot_requests", "Chat commands handled.", counted.requests)
        yield _counter("bot_memory_dropped_writes", "Writes that bot.db did not take.", now.dropped_writes)
        yield _counters("bot_errors", "Failed chat commands and handler exceptions.", "kind", counted.errors)
        yield _counters("bot_events", "Events received.", "event", counted.events)
        yield _counters("bot_events_rejected", "Events that were unknown or malformed.", "reason", counted.rejected)
        yield _counters("bot_sessions_ended", "Sessions and attempts that ended.", "reason", counted.ended)
        yield _counters("bot_heartbeats", "Heartbeats sent to the portal.", "outcome", counted.heartbeats)
        commands = CounterMetricFamily("bot_commands", "Chat commands by outcome.", labels=["command", "outcome"])
        for (command, outcome), count in sorted(dict(counted.commands).items()):
            commands.add_metric([command, outcome], count)
        yield commands
        yield _histogram("bot_response_seconds", "Time CyTube takes for a small question.", counted.responses)
        yield _histogram("bot_event_latency_seconds", "Time to handle one event.", counted.latency)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(name, text, value=value)


def _counters(name: str, text: str, label: str, values: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(name, text, labels=[label])
    for key, count in sorted(dict(values).items()):
        family.add_metric([key], count)
    return family


def _histogram(name: str, text: str, histogram: Histogram) -> Metric:
    buckets, running = [], 0
    for bound, count in zip((*histogram.bounds, float("inf")), list(histogram.counts), strict=True):
        running += count
        buckets.append(("+Inf" if bound == float("inf") else repr(bound), float(running)))
    return HistogramMetricFamily(name, text, buckets=buckets, sum_value=histogram.total)

"""A day of the bot in minutes: memory, tasks and latency while health is scraped fifty times a second.

    python -m benchmarks.bot_day [--scale 0.1] [--rate 2000]

At scale 1: 1,000,000 events, 500 people at a time out of 3,000, 200 broken connections. The bot runs in this process,
the server and the scraper in processes of their own. Latency is measured from the moment somebody says a line, inside
the server, to the moment the bot has dealt with it; seconds in which other programs kept the bot or the server waiting
for a processor are left out and named. Returns 1 when a promise of the design is not kept.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from benchmarks.bot_latency import Quiet
from benchmarks.bot_promises import DAY_SECONDS, EVENTS, RECONNECTS, SCRAPES_PER_SECOND, Day, Memory
from benchmarks.results import METHOD
from botcore import recorder, response_time
from botcore.bot import Bot
from botcore.config import Channel, Settings, User
from botcore.credentials import Credentials
from botcore.cytube.backoff import Backoff, Pace
from botcore.cytube.session import Session
from botcore.errors import SessionError
from botcore.health.server import HealthServer
from botcore.logs import Logs
from botcore.room import Room
from botcore.telemetry import Telemetry

WARM_UP = 0.1
PAGE = os.sysconf("SC_PAGE_SIZE")


class Watch:
    """Measures the bot from inside: latency of every line, memory after the warm-up."""

    def __init__(self, bot: Bot, events: int, latency: Quiet) -> None:
        self.rss_warm = self.rss_half = 0.0
        self._latency = latency
        self._warm_after = events * WARM_UP
        self._half = events // 2
        self._seen = 0
        bot.events.subscribe(self._heard)

    def _heard(self, _session: Session, event: str, data: Any, before: Room) -> None:
        self._seen += 1
        if event == "chatMsg" and before.listed and data["msg"].startswith("said "):
            self._latency.add((time.monotonic_ns() - int(data["msg"].split(" ", 2)[1])) / 1e9)
        if not self.rss_warm and self._seen >= self._warm_after:
            self.rss_warm = resident()
        if not self.rss_half and self._seen >= self._half:
            self.rss_half = resident()


def resident() -> float:
    """This process's memory in MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE / 1e6


async def live(scale: float, rate: float, folder: Path) -> Day:
    """Run the day, with as many writes to bot.db and questions as a day has."""
    with _dense(DAY_SECONDS * rate / EVENTS):
        return await _live(scale, rate, folder)


@contextlib.contextmanager
def _dense(times: float) -> Iterator[None]:
    """What the bot does every so many seconds it does so many times as often."""
    kept = recorder.FLUSH_SECONDS, recorder.COUNT_SECONDS, response_time.EVERY_SECONDS
    recorder.FLUSH_SECONDS, recorder.COUNT_SECONDS, response_time.EVERY_SECONDS = (each / times for each in kept)
    try:
        yield
    finally:
        recorder.FLUSH_SECONDS, recorder.COUNT_SECONDS, response_time.EVERY_SECONDS = kept


async def _live(scale: float, rate: float, folder: Path) -> Day:
    events, reconnects = int(EVENTS * scale), max(1, round(RECONNECTS * scale))
    # Some are on their way when a connection breaks and do not count: 50 as a rule, 400 on a machine with other work.
    sent = str(int(events * 1.05) + 1000 * reconnects)
    crowd = await _child("benchmarks.bot_crowd", sent, str(reconnects), str(rate))
    before = asyncio.all_tasks()
    settings = _settings((await _line(crowd))["url"], folder)
    logs = Logs(settings, {})
    bot = Bot(settings, _credentials(), telemetry=Telemetry(), pacing=_hurried)
    latency = Quiet(os.getpid(), crowd.pid)
    watch = Watch(bot, events, latency)
    sorting = asyncio.create_task(latency.run())
    async with _living(bot) as health:
        scraper = await _child("benchmarks.bot_scraper", str(health.port), str(SCRAPES_PER_SECOND))
        began = time.monotonic()
        _tell(crowd)
        truth = await _line(crowd)
        seconds = time.monotonic() - began
        _tell(scraper)
        scrapes = await _line(scraper)
        state_true = await _agrees(bot, truth)
        memory = Memory(watch.rss_warm, watch.rss_half, resident())
        total = sum(bot.telemetry.events.values())
    logs.close()
    sorting.cancel()
    await asyncio.wait([sorting])
    left = [repr(left) for left in asyncio.all_tasks() - before - {asyncio.current_task()}]
    _tell(crowd)
    await asyncio.gather(crowd.wait(), scraper.wait())
    return Day(seconds, total, latency, memory, left, scrapes, state_true, bot.telemetry, scale)


@contextlib.asynccontextmanager
async def _living(bot: Bot) -> AsyncIterator[HealthServer]:
    """The bot runs and answers for its health."""
    health = HealthServer("127.0.0.1", 0, bot.snapshot)
    task = asyncio.create_task(bot.run())
    yield health
    bot.stop()
    await task
    await asyncio.to_thread(health.close)


async def _agrees(bot: Bot, truth: dict[str, Any]) -> bool:
    """Whether the bot's state becomes the server's within five seconds: the last events are still on their way."""

    def same(room: Room) -> bool:
        return bool(
            {user.name: user.rank for user in room.users.values()} == truth["users"]
            and [item.uid for item in room.playlist] == truth["playlist"]
            and room.current_uid == truth["current"]
        )

    return await _soon(lambda: same(bot.snapshot().room))


async def _soon(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + 5
    while not condition():
        if time.monotonic() > end:
            return False
        await asyncio.sleep(0.02)
    return True


def _settings(url: str, folder: Path) -> Settings:
    return Settings(
        domain=url,
        channel=Channel(name="test-rosey"),
        user=User(name="RoseyBot-Test"),
        data_dir=folder,
        log_level="ERROR",
    )


def _hurried(_settings: Settings) -> Backoff:
    """A day's two hundred reconnects are seconds apart here; they must not add up to a long outage."""
    return Backoff({SessionError: Pace(first=0.05, cap=1.0, stable=0.5)})


def _credentials() -> Credentials:
    return Credentials(SecretStr("sandbox"), None, None)


async def _child(module: str, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *arguments, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )


async def _line(child: asyncio.subprocess.Process) -> dict[str, Any]:
    assert child.stdout is not None
    text = await child.stdout.readline()
    if not text:
        raise SystemExit("a part of the benchmark ended early")
    answer: dict[str, Any] = json.loads(text)
    return answer


def _tell(child: asyncio.subprocess.Process) -> None:
    assert child.stdin is not None
    child.stdin.write(b"\n")


def table(day: Day) -> str:
    """The promises, for a person."""
    rows = [
        ("", "measured", "promised", ""),
        *((p.what, p.measured, p.wanted, "ok" if p.kept else "MISSED") for p in day.promises()),
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def main(argv: list[str] | None = None) -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks bot_day", description=__doc__.splitlines()[0])
    parser.add_argument("--scale", type=float, default=1.0, help="share of a day (default 1)")
    parser.add_argument("--rate", type=float, default=2000.0, help="events a second (default 2000)")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="bot-day-") as folder:
        day = asyncio.run(live(options.scale, options.rate, Path(folder)))
    print(f"{METHOD}once, {options.scale:g} of a day at {options.rate:g} events a second")
    print(table(day))
    return 0 if all(promise.kept for promise in day.promises()) else 1


if __name__ == "__main__":
    sys.exit(main())

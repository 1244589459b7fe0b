"""A tenth of the simulated day. `make bench` runs the whole, and judges latency on a machine of its own."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from benchmarks import bot_day


async def test_a_tenth_of_a_day_leaves_no_task_no_memory_and_the_true_state(tmp_path: Path) -> None:
    day = await asyncio.wait_for(bot_day.live(0.1, 20_000, tmp_path), 400)
    promises = {promise.what: promise for promise in day.promises()}
    print(bot_day.table(day))
    for what in ("events", "reconnects", "RSS growth", "tasks left", "chat commands", "state at the end"):
        assert promises[what].kept, f"{what}: {promises[what].measured}, promised {promises[what].wanted}"
    assert not day.scrapes["failed"]
    # Not the promise, which takes a machine to itself, but what no load excuses: a bot that falls behind lets lines
    # wait for a good part of the day, however long a loaded machine takes for it.
    assert day.latency.all.quantile(0.5) / 1000 < day.seconds / 20
    assert not day.tasks_left
    assert (tmp_path / "bot.db").exists()
    assert (tmp_path / "logs" / "chat.log").stat().st_size > 0


@pytest.mark.full
async def test_memory_stands_still_in_the_second_half_of_a_day(tmp_path: Path) -> None:
    day = await asyncio.wait_for(bot_day.live(0.5, 4_000, tmp_path), 1800)
    print(bot_day.table(day))
    promises = {promise.what: promise for promise in day.promises()}
    assert promises["RSS growth an hour"].kept, promises["RSS growth an hour"].measured

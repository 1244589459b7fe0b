"""`python -m sandbox load E`: life in the room of an environment's bot, on a CyTube server one may load."""

import argparse
import asyncio
import contextlib
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp

from sandbox.cytube.errors import SandboxError
from sandbox.load.control import Control
from sandbox.load.life import Life, Pace
from sandbox.load.moderator import Tally
from sandbox.load.questions import COMMANDS

ROOMS = {"test": ("test-rosey", "RoseyBot-Test"), "production": ("rosey", "RoseyBot")}
"""Channel and bot, by environment, as the shipped configuration has them."""
STATE = Path(__file__).resolve().parent.parent.parent / ".state"
BETWEEN_SECONDS = 20.0
"""Between a flood, a raid, a churn of the playlist and the next flood."""


def parser() -> argparse.ArgumentParser:
    """What can be typed."""
    found = argparse.ArgumentParser(
        prog="python -m sandbox load",
        description="Brings the room of a bot to life: a crowd, floods, raids, playlist churn, and every chat command"
        " with its right answer. Only a sandbox server on a private network is loaded.",
    )
    found.add_argument("environment", choices=tuple(ROOMS), metavar="E", help="test or production")
    found.add_argument("--server", metavar="URL", help="the CyTube server (default: that of the demo that runs)")
    found.add_argument("--people", type=int, default=40, metavar="N", help="people in the room (default 40)")
    found.add_argument("--density", type=float, default=24.0, metavar="N", help="times as dense as a day (default 24)")
    found.add_argument("--minutes", type=float, default=5.0, metavar="N", help="how long (default 5)")
    return found


def main(argv: list[str]) -> int:
    """Live for so long; 0 when every answer was right, 1 when one was not, 2 for a server that is not loaded."""
    options = parser().parse_args(argv)
    url = options.server or _demo()
    if not url:
        print("No demo runs here: give --server, or start one with `make demo`.", file=sys.stderr)
        return 2
    channel, bot = ROOMS[options.environment]
    pace = Pace(max(1, options.people), max(0.001, options.density))
    try:
        tally = asyncio.run(_live(url, channel, bot, pace, 60 * options.minutes))
    except (SandboxError, aiohttp.ClientError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    print(_told(tally))
    return 0 if tally.asked and not tally.wrong and not tally.missing else 1


def _demo() -> str:
    found = STATE / "demo" / "cytube-url"
    return found.read_text() if found.exists() else ""


async def _live(url: str, channel: str, bot: str, pace: Pace, seconds: float) -> Tally:
    async with Control(url, channel) as control:
        await control.room()  # raises when that is no sandbox
        life = Life(control, bot, pace)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds), asyncio.TaskGroup() as tasks:
                tasks.create_task(life.run())
                tasks.create_task(_deeds([life.flood, life.raid, life.churn]))
        return life.tally


async def _deeds(deeds: list[Callable[[], Awaitable[None]]]) -> None:
    while True:
        for deed in deeds:
            await asyncio.sleep(BETWEEN_SECONDS)
            with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
                await deed()


def _told(tally: Tally) -> str:
    lines = [
        f"{tally.asked.total()} questions, {len(tally.asked)} of {len(COMMANDS)} chat commands:"
        f" {tally.right.total()} right, {len(tally.wrong)} wrong, {len(tally.missing)} without an answer,"
        f" {tally.interrupted} cut off by a break.",
        f"Right answers within {tally.within(0.5) * 1000:.0f} ms (50 of 100), {tally.within(0.95) * 1000:.0f} ms (95),"
        f" {tally.within(0.99) * 1000:.0f} ms (99).",
        f"{tally.lines} lines, {tally.floods} floods, {tally.raids} raids, {tally.churned} churns of the playlist.",
    ]
    return "\n".join([*lines, *(f"wrong: {text}" for text in tally.wrong), *(f"missing: {t}" for t in tally.missing)])

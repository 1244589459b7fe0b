"""What the bot says about itself and its commands."""

from __future__ import annotations

import time
from collections.abc import Sequence

from botcore.commands import wording
from botcore.commands.call import Call
from botcore.commands.registry import chat_command
from botcore.memory import people


@chat_command(
    "info",
    summary="says which bot this is, and what the channel is like",
    details="Answers version, release, channel, number of people, length of the playlist and the bot's rank.",
)
async def info(call: Call) -> Sequence[str]:
    """Who and where."""
    room, now = call.room, call.snapshot()
    return [
        f"{call.session.name}, version {now.version}, release {now.release}",
        f"channel {call.session.identity.channel}: {wording.crowd(room)}",
        f"playlist: {wording.count(len(room.playlist), 'item')}, {wording.duration(room.playlist_seconds)}",
        f"my rank: {wording.rank(room.rank)} ({room.rank:g})",
    ]


@chat_command(
    "status",
    summary="says how long the bot has been connected, and whether anything went wrong",
    details="Answers the uptime of the process and of the connection, reconnects, commands, errors and how"
    " fast CyTube has answered in the last ten minutes.",
)
async def status(call: Call) -> Sequence[str]:
    """How it has been."""
    now = call.snapshot()
    counted = now.telemetry
    answer = [
        f"connected for {wording.duration(time.monotonic() - now.status.since)}",
        f"running for {wording.duration(counted.uptime)}",
        wording.count(max(0, counted.sessions - 1), "reconnect"),
        f"{wording.count(counted.requests, 'chat command')}, {wording.count(counted.error_count, 'error')}",
        f"{wording.count(now.queue_length, 'message')} waiting",
    ]
    median, most = counted.response(0.5), counted.response(0.9)
    if median is not None and most is not None:
        answer.append(f"CyTube answers in {median * 1000:.0f} ms, nine times of ten within {most * 1000:.0f} ms")
    return answer


@chat_command(
    "stats",
    summary="says what the bot remembers: people, lines, the highest number of users",
    details="Counts all people ever seen and lines said, and names the highest user count and when it was.",
)
async def stats(call: Call) -> Sequence[str]:
    """What is remembered."""
    totals = await call.remembered(people.totals)
    peak = (
        f"at most {wording.count(totals.peak, 'user')} at once, on {wording.stamp(totals.peak_at)}"
        if totals.peak
        else "no peak yet"
    )
    return [
        f"{wording.count(totals.people, 'person', 'people')} seen",
        f"{wording.count(totals.lines, 'line')} said",
        peak,
        f"{wording.count(totals.actions, 'chat command')} kept",
    ]

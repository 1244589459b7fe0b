"""The bot as a systemd service on a real Debian host, over a real network with real faults."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

import pytest

from sandbox.cytube import CytubeServer, ServerConfig
from sandbox.hosts import HostSet
from tests.botcore.bot_host import HOME, UNIT, BotHost
from tests.botcore.running import NAME, moderator, until

pytestmark = [pytest.mark.hosts]

T = TypeVar("T")

PROBE = f"""
import json, os, pathlib, socket
def tried(what):
    try:
        what()
    except OSError as error:
        return error.strerror
    return "allowed"
def write(path):
    return tried(lambda: pathlib.Path(path).write_text("x"))
def read(path):
    return tried(lambda: os.listdir(path) if os.path.isdir(path) else open(path).read())
credentials = os.environ["CREDENTIALS_DIRECTORY"]
facts = {{
    "write release": write("{HOME}/current/botcore/__init__.py"),
    "add to release": write("{HOME}/current/new"),
    "write config": write("{HOME}/shared/config/c1/bot.json"),
    "replace config": write("{HOME}/shared/config/c1/new"),
    "swap current": tried(lambda: os.symlink("x", "{HOME}/next")),
    "write environment": write("{HOME}/envs/bot/new"),
    "read secrets": read("{HOME}/shared/secrets"),
    "read secret": read("{HOME}/shared/secrets/cytube-password"),
    "read agent": read("{HOME}/.deploy"),
    "write credential": write(credentials + "/cytube-password"),
    "write etc": write("/etc/x"),
    "read shadow": read("/etc/shadow"),
    "read home": read("/home/rosey"),
    "raw socket": tried(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW)),
    "read config": read("{HOME}/current/.config/bot.json"),
    "read credential": read(credentials + "/cytube-password"),
    "write data": write("{HOME}/shared/data/probe"),
}}
pathlib.Path("{HOME}/shared/data/probe.json").write_text(json.dumps(facts))
"""


async def on(work: Callable[..., T], *arguments: Any, **keywords: Any) -> T:
    """Run something that blocks, while the sandbox server goes on."""
    return await asyncio.to_thread(work, *arguments, **keywords)


@pytest.fixture(scope="module")
def installed(hosts_factory: Callable[..., HostSet]) -> tuple[HostSet, BotHost]:
    """A host with the bot on it, not started."""
    hosts = hosts_factory(1)
    host = BotHost(hosts.host(1))
    host.install()
    return hosts, host


@pytest.fixture
async def cytube(installed: tuple[HostSet, BotHost]) -> AsyncIterator[CytubeServer]:
    """A server that the host can reach, with the real cost of a login."""
    async with CytubeServer(ServerConfig(host=installed[0].gateway)) as server:
        yield server


@pytest.fixture
async def host(installed: tuple[HostSet, BotHost], cytube: CytubeServer) -> AsyncIterator[BotHost]:
    """The host, its bot set up for the server and stopped."""
    bot = installed[1]
    await on(bot.stop)
    await on(bot.drop_in, "")
    await on(bot.configure, cytube.url)
    yield bot
    bot.host.clear()
    bot.host.link(True)
    await on(bot.stop)


def verdict(host: BotHost) -> float:
    text = host.sh(f"systemd-analyze security --no-pager {UNIT}", check=False)
    return float(next(line.split()[-3] for line in text.splitlines() if "Overall exposure level" in line))


async def test_the_unit_is_clean_and_strict(host: BotHost) -> None:
    assert await on(host.sh, f"systemd-analyze verify /etc/systemd/system/{UNIT}") == ""
    assert await on(verdict, host) <= 1.5


async def test_the_service_can_read_what_it_runs_and_write_nothing_but_its_data(host: BotHost) -> None:
    """The same unit with another program in it, so that every restriction is the one the bot gets."""
    await on(host.put, "/opt/probe.py", PROBE)
    program = f"{HOME}/current/.envs/bot/bin/python /opt/probe.py"
    await on(host.drop_in, f"[Service]\nType=oneshot\nRestart=no\nExecStart=\nExecStart={program}\nWatchdogSec=0\n")
    await on(host.sh, f"systemctl start {UNIT}")
    facts = json.loads(await on(host.sh, f"cat {HOME}/shared/data/probe.json; rm {HOME}/shared/data/probe*"))
    allowed = {name for name, outcome in facts.items() if outcome == "allowed"}
    assert allowed == {"read config", "read credential", "write data"}, facts


async def test_it_starts_joins_and_stops_with_its_service(host: BotHost, cytube: CytubeServer) -> None:
    await on(host.restart)
    assert await on(host.property, "ActiveState") == "active"
    await on(host.wait, connected=True, deadline=60)
    assert cytube.users == [NAME]
    assert await on(host.property, "StatusText") == f"in the room test-rosey as {NAME}"
    assert await on(host.property, "MemoryMax") == str(500 * 1024 * 1024)
    headers = await on(host.sh, "curl -sI -X GET http://127.0.0.1:8001/api/health")
    assert "X-Release: r1" in headers
    metrics = await on(host.sh, "curl -s http://127.0.0.1:8001/metrics; date +now_%s")
    (begun,) = map(float, re.findall(r"^process_start_time_seconds (\S+)$", metrics, re.MULTILINE))
    assert 0 <= int(metrics.rpartition("now_")[2]) + 1 - begun < 60, "the sandbox of the unit hides nothing it needs"
    await on(host.stop)
    assert cytube.users == []
    assert "status=" not in await on(host.journal, "-p err")


async def test_the_deploying_user_can_copy_the_database_while_the_bot_runs_and_when_it_does_not(
    host: BotHost, cytube: CytubeServer
) -> None:
    copy = (
        "python3 -c \"import sqlite3; a = sqlite3.connect('/opt/rosey-bot/shared/data/bot.db'); "
        "b = sqlite3.connect('/tmp/copy.db'); a.backup(b); print(b.execute('PRAGMA integrity_check').fetchone()[0])\""
    )
    command = f'su -s /bin/sh rosey -c "{copy.replace(chr(34), chr(92) + chr(34))}"'
    await on(host.restart)
    await on(host.wait, connected=True, deadline=60)
    assert (await on(host.sh, command)).strip() == "ok"
    await on(host.stop)
    assert (await on(host.sh, command)).strip() == "ok"
    await on(host.restart)
    await on(host.wait, connected=True, deadline=60)
    mod = await moderator(cytube)
    await mod.pm(NAME, "stats")
    assert "people seen" in (await mod.wait_for("pm", lambda line: line["username"] == NAME))["msg"]
    await mod.leave()
    assert "bot.db" not in await on(host.journal)
    await on(host.sh, "rm -f /tmp/copy.db")


async def test_a_missing_secret_is_said_once_and_not_restarted_over(host: BotHost) -> None:
    await on(host.sh, f"mv {HOME}/shared/secrets/cytube-password /root/kept")
    try:
        await on(host.sh, f"systemctl start {UNIT}", check=False)
        assert await on(host.property, "Result") == "exit-code"
        assert await on(host.property, "ExecMainStatus") == "78"
        assert await on(host.property, "NRestarts") == "0"
        assert "no password for RoseyBot-Test" in await on(host.journal, "-p err")
    finally:
        await on(host.sh, f"mv /root/kept {HOME}/shared/secrets/cytube-password")


async def test_secrets_nobody_needs_may_be_missing(host: BotHost, cytube: CytubeServer) -> None:
    """The unit names three credentials; only the password has to exist."""
    await on(host.sh, f"rm -f {HOME}/shared/secrets/portal-token {HOME}/shared/secrets/channel-password")
    await on(host.restart)
    await on(host.wait, connected=True, deadline=60)


async def test_a_stuck_process_is_restarted_by_the_watchdog(host: BotHost, cytube: CytubeServer) -> None:
    await on(host.drop_in, "[Service]\nWatchdogSec=2\n")
    await on(host.restart)
    await on(host.wait, connected=True, deadline=60)
    await on(host.sh, f"kill -STOP $(systemctl show -P MainPID {UNIT})")
    async with asyncio.timeout(40):
        while await on(host.property, "NRestarts") != "1":
            await asyncio.sleep(0.2)
    await on(host.wait, connected=True, deadline=60)


async def test_a_killed_bot_is_back_within_seconds(host: BotHost, cytube: CytubeServer) -> None:
    await on(host.restart)
    await on(host.wait, connected=True, deadline=60)
    await on(host.sh, f"kill -KILL $(systemctl show -P MainPID {UNIT})")
    await until(lambda: cytube.users == [])
    await on(host.wait, connected=True, deadline=60)
    assert await on(host.property, "NRestarts") == "1"


LEAKY = f"""
import os, pathlib, runpy, sys, threading, time
sys.path.insert(0, os.getcwd())
wish = pathlib.Path("{HOME}/shared/data/leak")
def leak():
    while not wish.exists():
        time.sleep(0.05)
    wish.unlink()
    held = []
    while True:
        held.append(os.urandom(1 << 20) * 16)
        pathlib.Path("{HOME}/shared/data/held").write_text(str(16 * len(held)))
threading.Thread(target=leak, daemon=True).start()
runpy.run_module("botcore", run_name="__main__", alter_sys=True)
"""
NEIGHBOURS = "ssh systemd-journald dbus neighbour"


async def test_running_out_of_memory_hits_only_the_bot(host: BotHost, cytube: CytubeServer) -> None:
    """The bot with a leak in it, in its own unit with its own limit, on a machine that has memory enough."""

    async def neighbours() -> str:
        return await on(host.sh, f"systemctl show -p Id,MainPID,ActiveState,NRestarts {NEIGHBOURS}")

    async def killed() -> int:
        return int((await on(host.sh, "grep '^oom_kill ' /proc/vmstat")).split()[1])

    await on(host.put, "/opt/leaky.py", LEAKY)
    program = f"{HOME}/current/.envs/bot/bin/python /opt/leaky.py --config {HOME}/current/.config/bot.json"
    await on(host.drop_in, f"[Service]\nExecStart=\nExecStart={program}\n")
    await on(host.sh, "systemctl reset-failed neighbour; systemd-run -q --unit=neighbour sleep infinity", check=False)
    try:
        await on(host.restart)
        await on(host.wait, connected=True, deadline=60)
        before, kills = await neighbours(), await killed()
        pid = await on(host.property, "MainPID")
        leak = f"{HOME}/shared/data/leak"  # which the bot takes away as soon as it is there
        await on(host.sh, f"touch {leak}.new && chmod 666 {leak}.new && mv {leak}.new {leak}")
        async with asyncio.timeout(40):
            while await on(host.property, "NRestarts") != "1":
                await asyncio.sleep(0.1)
        await on(host.wait, connected=True, deadline=60)
        assert await on(host.property, "MainPID") != pid
        assert await killed() == kills + 1, "one process on the whole machine"
        assert 300 < int(await on(host.sh, f"cat {HOME}/shared/data/held")) < 500, "megabytes, by its own limit"
        assert "status=9/KILL" in await on(host.journal)
        assert await neighbours() == before
        assert await on(host.sh, "systemctl --failed --plain --no-legend") == ""
    finally:
        await on(host.sh, f"systemctl stop neighbour; rm -f {HOME}/shared/data/held", check=False)


async def outage(host: BotHost, cytube: CytubeServer, seconds: float) -> float:
    """CyTube goes away and comes back; returns how long the bot then took."""
    await on(host.restart)
    await on(host.wait, connected=True, deadline=60)
    before = await on(host.property, "MainPID")
    await cytube.stop()
    await on(host.wait, connected=False, deadline=60)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert not (await on(host.health)).get("connected")
        assert (await on(host.property, "ActiveState")) == "active"
        await asyncio.sleep(min(5.0, seconds / 4))
    await cytube.start()
    back = await on(host.wait, connected=True, deadline=45)
    assert cytube.users == [NAME]
    assert await on(host.property, "MainPID") == before
    assert await on(host.property, "NRestarts") == "0"
    return back


async def test_an_outage_of_cytube_is_no_reason_to_restart(host: BotHost, cytube: CytubeServer) -> None:
    await outage(host, cytube, 6)


@pytest.mark.full
async def test_ten_minutes_without_cytube_cause_no_restart(host: BotHost, cytube: CytubeServer) -> None:
    print("back after", round(await outage(host, cytube, 600), 1), "s")


async def test_at_200_ms_round_trip_it_is_in_the_room_and_says_everything_once(
    host: BotHost, cytube: CytubeServer
) -> None:
    host.host.latency(200)
    await on(host.restart)
    await on(host.wait, connected=True, deadline=60)
    mod = await moderator(cytube)
    for number in range(5):
        await mod.pm(NAME, f"say line {number}")
    await until(lambda: len(cytube.chat_log) == 5, deadline=60)
    assert [line.text for line in cytube.chat_log] == [f"line {number}" for number in range(5)]
    health = await on(host.health)
    assert (health["connected"], health["requests"], health["errors"]) == (True, 5, 0)
    await mod.leave()


async def test_at_5_percent_loss_it_is_in_the_room_and_says_everything_once(
    host: BotHost, cytube: CytubeServer
) -> None:
    host.host.loss(5)
    await on(host.restart)
    await on(host.wait, connected=True, deadline=60)
    mod = await moderator(cytube)
    for number in range(20):
        await mod.pm(NAME, f"say line {number}")
    await until(lambda: len(cytube.chat_log) == 20, deadline=60)
    assert sorted(line.text for line in cytube.chat_log) == sorted(f"line {number}" for number in range(20))
    await mod.leave()


async def test_without_a_network_it_still_stops_within_five_seconds(host: BotHost, cytube: CytubeServer) -> None:
    await on(host.restart)
    await on(host.wait, connected=True, deadline=60)
    host.host.loss(100)
    began = time.monotonic()
    await on(host.stop)
    assert time.monotonic() - began < 5
    assert await on(host.property, "Result") == "success"


async def cut(host: BotHost, cytube: CytubeServer, seconds: float, *, deadline: float) -> tuple[float | None, float]:
    """Cable out and in: after how many seconds the bot said so, and how long after the cable it was well again."""
    await on(host.restart)
    await on(host.wait, connected=True, deadline=60)
    began = time.monotonic()
    noticed = None
    host.host.link(False)
    while time.monotonic() - began < seconds:
        if noticed is None and not (await on(host.health))["connected"]:
            noticed = time.monotonic() - began
        await asyncio.sleep(0.2)
    host.host.link(True)
    plugged = time.monotonic()
    mod = await moderator(cytube)
    well = False
    while not well:
        assert time.monotonic() - plugged < deadline, await on(host.health)
        mod.forget()
        await mod.pm(NAME, "status")
        try:
            await mod.wait_for(
                "pm", lambda line: line["username"] == NAME and "connected for" in line["msg"], deadline=60
            )
            well = (await on(host.health))["connected"]
        except Exception:  # noqa: BLE001  not yet
            continue
    took = time.monotonic() - plugged
    assert cytube.users.count(NAME) == 1
    assert await on(host.property, "NRestarts") == "0"
    await mod.leave()
    return noticed, took


async def test_a_cable_cut_of_five_seconds_is_got_over(host: BotHost, cytube: CytubeServer) -> None:
    await cut(host, cytube, 5, deadline=60)


@pytest.mark.full
async def test_a_cable_cut_of_thirty_seconds_is_got_over(host: BotHost, cytube: CytubeServer) -> None:
    noticed, took = await cut(host, cytube, 30, deadline=90)
    print("noticed after", noticed, "well after", round(took, 1), "s")


@pytest.mark.full
async def test_a_cable_cut_of_two_minutes_is_noticed_and_got_over(host: BotHost, cytube: CytubeServer) -> None:
    noticed, took = await cut(host, cytube, 120, deadline=90)
    assert noticed is not None
    assert noticed <= 40
    print("noticed after", noticed, "well after", round(took, 1), "s")

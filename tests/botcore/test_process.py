"""The bot as a process: start, readiness, watchdog, reload, stop, checks."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from sandbox.cytube import SANDBOX_PASSWORD, CytubeServer, Viewer
from tests.botcore.running import CHANNEL, NAME, until

ROOT = Path(__file__).parents[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Systemd:
    """Listens as systemd does."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "notify"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self.path))
        self._socket.setblocking(False)
        self._said: list[tuple[float, str]] = []

    def said(self) -> list[tuple[float, str]]:
        while True:
            try:
                self._said.append((time.monotonic(), self._socket.recv(4096).decode()))
            except BlockingIOError:
                return self._said

    def has(self, message: str) -> bool:
        return any(message in text for _, text in self.said())

    def close(self) -> None:
        self._socket.close()


class Process:
    """A running `python -m botcore`."""

    def __init__(self, config: Path, environ: dict[str, str]) -> None:
        self.config = config
        self.port = json.loads(config.read_text())["health"]["port"]
        self.output: list[str] = []
        self._environ = environ
        self.process: asyncio.subprocess.Process
        self._reader: asyncio.Task[None]

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "botcore",
            "--config",
            str(self.config),
            cwd=ROOT,
            env={**os.environ, **self._environ},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.output.append(line.decode())

    async def health(self) -> tuple[int, dict[str, Any]]:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return 0, {}
        writer.write(b"GET /api/health HTTP/1.0\r\n\r\n")
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        return int(head.split()[1]), json.loads(body)

    async def connected(self, deadline: float = 60.0) -> dict[str, Any]:
        end = time.monotonic() + deadline
        while time.monotonic() < end:
            status, body = await self.health()
            if status == 200:
                return body
            await asyncio.sleep(0.01)
        raise AssertionError(f"not connected within {deadline} s:\n{''.join(self.output)}")

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, float]:
        """Exit status and seconds it took."""
        started = time.monotonic()
        if self.process.returncode is None:
            self.process.send_signal(number)
        status = await asyncio.wait_for(self.process.wait(), 20)
        await self._reader
        return status, time.monotonic() - started


def write(folder: Path, url: str, **changes: Any) -> Path:
    document = {
        "domain": url,
        "channel": {"name": CHANNEL},
        "user": {"name": NAME, "password": SANDBOX_PASSWORD},
        "health": {"port": free_port()},
        "data_dir": str(folder / "data"),
        **changes,
    }
    path = folder / "bot.json"
    path.write_text(json.dumps(document))
    return path


@asynccontextmanager
async def started(config: Path, **environ: str) -> AsyncIterator[Process]:
    process = Process(config, environ)
    await process.start()
    try:
        yield process
    finally:
        await process.stop()


async def run(*arguments: str, **environ: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "botcore",
        *arguments,
        cwd=ROOT,
        env={**os.environ, **environ},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode is not None
    return process.returncode, output.decode()


async def test_it_starts_reports_and_stops_as_a_service(server: CytubeServer, tmp_path: Path) -> None:
    systemd = Systemd(tmp_path)
    environ = {"NOTIFY_SOCKET": str(systemd.path), "WATCHDOG_USEC": "1000000", "RELEASE_ID": "v1.2.3-abc"}
    async with started(write(tmp_path, server.url), **environ) as bot:
        body = await bot.connected()
        assert body["channel"] == CHANNEL
        await until(lambda: sum("WATCHDOG=1" in text for _, text in systemd.said()) >= 3)
        assert systemd.has("READY=1")
        assert systemd.has(f"STATUS=in the room {CHANNEL} as {NAME}")
        status, seconds = await bot.stop()
        assert status == 0
        assert seconds < 5
        assert systemd.has("STOPPING=1")
        assert server.users == []
        beats = [at for at, text in systemd.said() if "WATCHDOG=1" in text]
        assert max(later - earlier for earlier, later in itertools.pairwise(beats)) < 1.0
    systemd.close()


async def test_ready_means_that_health_listens_and_not_that_cytube_is_there(
    server: CytubeServer, tmp_path: Path
) -> None:
    url = server.url
    await server.stop()
    systemd = Systemd(tmp_path)
    async with started(write(tmp_path, url), NOTIFY_SOCKET=str(systemd.path)) as bot:
        await until(lambda: systemd.has("READY=1"))
        status, body = await bot.health()
        assert (status, body["connected"]) == (503, False)
        await until(lambda: systemd.has("STATUS=not connected"))
        assert bot.process.returncode is None
    systemd.close()


async def test_what_strangers_write_is_no_message_to_systemd_and_no_line_of_the_log(
    server: CytubeServer, tmp_path: Path
) -> None:
    systemd = Systemd(tmp_path)
    async with started(write(tmp_path, server.url), NOTIFY_SOCKET=str(systemd.path)) as bot:
        await bot.connected()
        server.kick(NAME, "begone\nWATCHDOG=trigger\n<3>forged \ud800")
        await until(lambda: systemd.has("begone"))
        assert all(not line.startswith("WATCHDOG") for _, text in systemd.said() for line in text.splitlines())
        assert not any(line.startswith("<3>forged") for line in bot.output)
    systemd.close()


async def test_a_flood_of_signals_and_a_dead_portal_do_not_delay_the_stop(server: CytubeServer, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("x")
    config = write(tmp_path, server.url, portal_url="http://192.0.2.1", portal_token_file=str(token))
    async with started(config) as bot:
        await bot.connected()
        bot.process.send_signal(signal.SIGTERM)
        bot.process.send_signal(signal.SIGINT)
        status, seconds = await bot.stop()
        assert status == 0
        assert seconds < 5


async def test_what_waits_to_be_written_is_written_at_the_stop(server: CytubeServer, tmp_path: Path) -> None:
    async with started(write(tmp_path, server.url)) as bot:
        await bot.connected()
        viewer = await Viewer.join(server.url, CHANNEL, "Moderator", SANDBOX_PASSWORD)
        await viewer.chat("the last words")
        await viewer.pm(NAME, "say mine")
        await viewer.wait_for("pm", lambda line: line["msg"] == "Said.")
        await viewer.leave()
        await bot.stop()
    assert "Moderator: the last words" in (tmp_path / "data" / "logs" / "chat.log").read_text()
    assert any("chat command say mine by Moderator: ok" in line for line in bot.output)
    assert not list((tmp_path / "data").glob("bot.db-wal")), "the database is closed"


async def test_a_reload_uses_what_changed_and_survives_what_is_wrong(server: CytubeServer, tmp_path: Path) -> None:
    config = write(tmp_path, server.url, user={"name": NAME, "password": "wrong"})
    async with started(config) as bot:
        await until(lambda: any("refused the login" in line for line in bot.output))
        good = config.read_text().replace('"wrong"', f'"{SANDBOX_PASSWORD}"')
        config.write_text("{")
        bot.process.send_signal(signal.SIGHUP)
        await until(lambda: any("not reloaded" in line for line in bot.output))
        config.write_text(good)
        bot.process.send_signal(signal.SIGHUP)
        await bot.connected()


async def test_bad_settings_end_with_78_and_every_problem(tmp_path: Path) -> None:
    config = write(tmp_path, "cytu.be", unknown=1)
    status, output = await run("--config", str(config))
    assert status == 78
    assert "domain:" in output
    assert "unknown: unknown key" in output
    assert SANDBOX_PASSWORD not in output


async def test_no_password_is_a_problem_for_running_and_a_warning_for_checking(tmp_path: Path) -> None:
    config = write(tmp_path, "http://127.0.0.1:9", user={"name": NAME})
    status, output = await run("--config", str(config))
    assert (status, "no password" in output) == (78, True)
    status, output = await run("--config", str(config), "--check")
    assert (status, "warning: no password" in output) == (0, True)


@pytest.mark.parametrize("name", ["config-test.json", "config-prod.json"])
async def test_the_shipped_settings_pass_the_check(name: str) -> None:
    status, output = await run("--config", f"botcore/{name}", "--check")
    assert status == 0, output
    assert "The settings are good." in output


async def test_check_login_signs_in_and_leaves(server: CytubeServer, tmp_path: Path) -> None:
    status, output = await run("--config", str(write(tmp_path, server.url)), "--check", "--login")
    assert status == 0, output
    assert f"{NAME} can enter {CHANNEL}" in output
    await until(lambda: server.users == [])


async def test_check_login_says_what_is_wrong(server: CytubeServer, tmp_path: Path) -> None:
    config = write(tmp_path, server.url, user={"name": NAME, "password": "wrong"})
    status, output = await run("--config", str(config), "--check", "--login")
    assert status == 1
    assert "Invalid username/password combination" in output


async def test_check_login_is_refused_while_the_bot_is_in_the_room(server: CytubeServer, tmp_path: Path) -> None:
    config = write(tmp_path, server.url)
    async with started(config) as bot:
        await bot.connected()
        status, output = await run("--config", str(config), "--check", "--login")
        assert status == 1
        assert "would put that session out" in output
        assert server.users == [NAME]
        assert (await bot.health())[0] == 200


@pytest.mark.parametrize("arguments", [[], ["--login"], ["--config", "x", "--login"], ["--nonsense"]])
async def test_wrong_usage_is_2(arguments: list[str]) -> None:
    status, output = await run(*arguments)
    assert status == 2
    assert "usage:" in output


async def test_it_is_in_the_room_soon_after_its_start(server: CytubeServer, tmp_path: Path) -> None:
    """The promise is 1.5 s; docs/bot.md has what was measured. A busy machine gets ten times as long here."""
    began = time.monotonic()
    async with started(write(tmp_path, server.url)) as bot:
        await bot.connected()
        assert time.monotonic() - began < 15
        status = Path(f"/proc/{bot.process.pid}/status").read_text()
        resident = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
        assert resident < 120 * 1024


async def test_a_taken_port_ends_with_1_because_starting_again_can_help(server: CytubeServer, tmp_path: Path) -> None:
    config = write(tmp_path, server.url)
    with socket.socket() as other:
        other.bind(("127.0.0.1", json.loads(config.read_text())["health"]["port"]))
        other.listen()
        status, output = await run("--config", str(config))
    assert status == 1
    assert "Health cannot listen" in output
    assert "Traceback" not in output


async def test_garbage_is_collected_again_after_the_start(server: CytubeServer, tmp_path: Path) -> None:
    config = write(tmp_path, server.url)
    code = (
        "import gc, botcore.__main__ as m, botcore.bot as b\n"
        "async def run(self): open('collecting', 'w').write(str(gc.isenabled()))\n"
        f"b.Bot.run = run\nm.main(['--config', {str(config)!r}])"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    await asyncio.wait_for(process.wait(), 30)
    assert (tmp_path / "collecting").read_text() == "True"


async def test_in_the_journal_errors_carry_their_priority(server: CytubeServer, tmp_path: Path) -> None:
    config = write(tmp_path, server.url, user={"name": NAME, "password": "wrong"}, log_format="json")
    async with started(config, JOURNAL_STREAM="8:1") as bot:
        await until(lambda: any("refused the login" in line for line in bot.output))
        line = next(line for line in bot.output if "refused the login" in line)
        assert line.startswith("<3>{")
        assert json.loads(line[3:])["reason"] == "login_refused"

"""The server as a process."""

import json
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.cytube import Viewer
from sandbox.cytube.cli import main


@pytest.fixture
def process(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    accounts = tmp_path / "accounts.json"
    accounts.write_text(json.dumps([{"name": "Someone", "password": "secret", "rank": 4}]))
    password = tmp_path / "password"
    password.write_text("sesame\n")
    command = [sys.executable, "-m", "sandbox", "cytube", "--port", "0", "--channel", "one", "--channel", "two"]
    command += ["--accounts", str(accounts), "--channel-password-file", str(password)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        yield child
        child.kill()


async def test_it_serves_until_it_is_told_to_stop(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    line = process.stdout.readline()
    url = re.search(r"http://\S+?(?=,)", line)
    assert url is not None
    assert "one, two" in line
    with urllib.request.urlopen(f"{url.group()}/socketconfig/one.json", timeout=60) as answer:
        assert json.load(answer)["servers"] == [{"url": url.group(), "secure": False}]
    viewer = await Viewer.join(url.group(), "two", "Someone", "secret", channel_password="sesame")
    process.send_signal(signal.SIGTERM)
    assert await viewer.wait_disconnected() == "transport error"
    assert process.wait(timeout=60) == 0


def test_a_taken_port_is_1(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main(["--port", str(taken.getsockname()[1])]) == 1
    assert "cannot listen" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["{", "[{}]", "[3]", None])
def test_unreadable_accounts_are_2(tmp_path: Path, content: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    accounts = tmp_path / "accounts.json"
    if content is not None:
        accounts.write_text(content)
    assert main(["--accounts", str(accounts)]) == 2
    assert "cannot use its configuration" in capsys.readouterr().err


def test_a_network_that_is_none_is_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--control-network", "everywhere"]) == 2
    assert "everywhere" in capsys.readouterr().err

"""The sinks as a process."""

import json
import re
import signal
import smtplib
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-m", "sandbox", "mail"]


@pytest.fixture
def process(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    command = [*COMMAND, "--port", "0", "--webhook-port", "0", "--directory", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        yield child
        child.kill()


def test_it_keeps_mail_and_posts_until_it_is_told_to_stop(process: subprocess.Popen[str], tmp_path: Path) -> None:
    assert process.stdout is not None
    port = re.search(r":(\d+)$", process.stdout.readline().strip())
    url = re.search(r"http\S+", process.stdout.readline())
    assert port is not None
    assert url is not None
    with smtplib.SMTP("127.0.0.1", int(port.group(1)), timeout=60) as client:
        client.sendmail("a@example.org", ["b@example.org"], "Subject: rollback\r\n\r\ndone\r\n")
    assert "mail for b@example.org: 'rollback'" in process.stdout.readline()
    body, headers = json.dumps({"text": "hi"}).encode(), {"Content-Type": "application/json"}
    request = urllib.request.Request(url.group(), data=body, headers=headers, method="POST")
    urllib.request.urlopen(request, timeout=60).close()
    assert "post to /services/sandbox: 'hi' (200)" in process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 0
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["0001-rollback.eml", "0002-post-services-sandbox.json"]


def test_a_taken_port_is_1(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        arguments = ["--webhook-port", str(taken.getsockname()[1]), "--directory", str(tmp_path)]
        done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert "The sink cannot start" in done.stderr

"""The tree that is deployed in the measurement: 424 files, 17.7 MB, of which a new version changes five."""

import random
from pathlib import Path

PYTHON_FILES, PYTHON_BYTES = 397, 3_200_000
WHEELS, WHEEL_BYTES = 25, 14_500_000
CHANGED = 5

SERVICE = """\
import json, os, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HERE = os.path.dirname(os.path.realpath(__file__))
VERSION = open(os.path.join(HERE, "VERSION")).read().strip()
BODY = json.dumps({"version": VERSION}).encode()
RELEASE = os.environ.get("RELEASE_ID", "")
PORT = int(os.environ["BENCH_PORT"])


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("X-Release", RELEASE)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, *args):
        pass


time.sleep(0.1)  # what any service needs before it answers
ThreadingHTTPServer(("0.0.0.0", PORT), Handler).serve_forever()
"""

UNIT = """\
[Unit]
Description=service of the measurement
StartLimitIntervalSec=0

[Service]
User={name}
WorkingDirectory=/opt/{name}/current
EnvironmentFile=-/opt/{name}/current/.release
Environment=BENCH_PORT={port} PYTHONDONTWRITEBYTECODE=1
ExecStart=/usr/bin/python3 /opt/{name}/current/service.py
Restart=on-failure

[Install]
WantedBy=multi-user.target
"""

DEPLOY_TOML = """\
name = "{name}"
python = "3.11"
[roles.bot]
units = ["{name}.service"]
[roles.bot.health]
url = "http://127.0.0.1:{{port}}/api/health"
samples = 3
interval = 0.1
[environments.test.roles.bot]
port = {port}
"""


def write_tree(directory: Path, name: str, port: int) -> None:
    """Version 1 of the tree; the content is random, so that nothing can be won by compressing it."""
    chance = random.Random(20)
    (directory / "package").mkdir(parents=True)
    (directory / "vendored").mkdir()
    for number in range(PYTHON_FILES - 1):
        (directory / "package" / f"module_{number:03}.py").write_bytes(_comment(chance, PYTHON_BYTES // PYTHON_FILES))
    for number in range(WHEELS):
        (directory / "vendored" / f"wheel_{number:02}.whl").write_bytes(chance.randbytes(WHEEL_BYTES // WHEELS))
    (directory / "service.py").write_text(SERVICE)
    (directory / f"{name}.service").write_text(UNIT.format(name=name, port=port))
    (directory / "deploy.toml").write_text(DEPLOY_TOML.format(name=name, port=port))
    (directory / "VERSION").write_text("1.0.0\n")


def next_version(directory: Path, number: int) -> str:
    """Change VERSION and four more files; returns the version."""
    chance = random.Random(number)
    version = f"1.0.{number}"
    (directory / "VERSION").write_text(f"{version}\n")
    for file in range(CHANGED - 1):
        path = directory / "package" / f"module_{file * 50:03}.py"
        path.write_bytes(_comment(chance, PYTHON_BYTES // PYTHON_FILES))
    return version


def _comment(chance: random.Random, size: int) -> bytes:
    lines = (size // 65) + 1
    return b"".join(b"# " + chance.randbytes(31).hex().encode() + b"\n" for _ in range(lines))[:size]

"""A tiny service as a release: real files, manifest and tar, and faults on demand through its configuration."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.artifacts import tarstream
from engine.artifacts.manifest import Manifest, ManifestFile
from engine.remote import BaseRelease, HealthCheck, RolePlan, RunPlan

NAME = "rosey-bot"
UNIT = "probe.service"
PORT = 8001
URL = f"http://127.0.0.1:{PORT}/api/health"

SERVICE = b"""\
import json, os, sqlite3, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

here = os.path.dirname(os.path.realpath(__file__))
with open("/opt/rosey-bot/current/.config/bot.json") as file:
    config = json.load(file)
with open(os.path.join(here, "VERSION")) as file:
    version = config.get("claims", file.read().strip())
if config.get("crash"):
    sys.exit(3)
if config.get("complains"):
    sys.stderr.write("<3>" + config["complains"] + "\\n")
database = sqlite3.connect("/opt/rosey-bot/shared/data/bot.db")
os.chmod("/opt/rosey-bot/shared/data/bot.db", 0o660)
try:
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("CREATE TABLE IF NOT EXISTS starts (at REAL)")
    database.execute("INSERT INTO starts VALUES (?)", (time.time(),))
    database.commit()
except sqlite3.OperationalError as error:  # a full disk is no reason to be silent
    sys.stderr.write("not written: %s\\n" % error)


class Health(BaseHTTPRequestHandler):
    def do_GET(self):
        connected = config.get("connected", True)
        body = json.dumps({"version": version, "connected": connected, "greeting": config.get("greeting")}).encode()
        self.send_response(200 if connected else 503)
        self.send_header("X-Release", os.environ.get("RELEASE_ID", ""))
        self.send_header("X-Reason", "" if connected else "the channel is down")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", config.get("port", 8001)), Health).serve_forever()
"""

UNIT_FILE = b"""\
[Unit]
Description=A service to deploy
ConditionPathExists=/opt/rosey-bot/current
StartLimitIntervalSec=60
StartLimitBurst=5

[Service]
User=rosey-bot
WorkingDirectory=/opt/rosey-bot/current
EnvironmentFile=-/opt/rosey-bot/current/.release
ExecStart=/usr/bin/python3 -B /opt/rosey-bot/current/service.py
Restart=always
RestartSec=0.5
UMask=0007

[Install]
WantedBy=multi-user.target
"""

DEPLOY_TOML = f'name = "{NAME}"\n[roles.bot]\nunits = ["systemd/{UNIT}"]\n'.encode()

DEADLINES = {
    "preflight": 20.0,
    "stage": 30.0,
    "dependencies": 60.0,
    "backup": 20.0,
    "activate": 20.0,
    "restart": 20.0,
    "verify": 30.0,
    "prune": 20.0,
}


@dataclass(frozen=True)
class Release:
    """A version of the service; also the artifact reader of its files."""

    version: str
    contents: dict[str, bytes] = field(hash=False)

    @property
    def identifier(self) -> str:
        return f"{self.version}-{self.manifest.digest[:12]}"

    @property
    def manifest(self) -> Manifest:
        return Manifest(
            ManifestFile(path, 0o555 if path.startswith("bin/") else 0o444, hashlib.sha256(data).hexdigest(), len(data))
            for path, data in self.contents.items()
        )

    def tar_of(self, paths: Iterable[str], /) -> Iterator[bytes]:
        for path in sorted(set(paths)):
            content = self.contents[path]
            mode = self.manifest.by_path[path].mode
            yield tarstream.header(path, mode, len(content)) + content + tarstream.padding(len(content))
        yield tarstream.END

    def tar_size(self, paths: Iterable[str], /) -> int:
        return sum(len(piece) for piece in self.tar_of(list(paths)))

    @property
    def base(self) -> BaseRelease:
        return BaseRelease(self.identifier, self.manifest.files)


def release(version: str, more: Mapping[str, bytes] | None = None, *, files: int = 20) -> Release:
    """A release with `files` modules of which three carry the version, and `more` by path."""
    contents = {"service.py": SERVICE, "VERSION": f"{version}\n".encode(), "bin/tool": b"#!/bin/sh\nexit 0\n"}
    contents |= {"deploy.toml": DEPLOY_TOML, f"systemd/{UNIT}": UNIT_FILE}
    for number in range(files):
        said = version if number < 3 else "always"
        contents[f"package{number % 4}/module{number}.py"] = f"said = {said!r}  # {number}\n".encode() * 20
    return Release(version, {**contents, **(more or {})})


def role(**changes: Any) -> RolePlan:
    """The role of the service, with what a test wants different."""
    usual: dict[str, Any] = {
        "role": "bot",
        "units": [UNIT],
        "unit_files": {UNIT: hashlib.sha256(UNIT_FILE).hexdigest()},
        "health": HealthCheck(url=URL, samples=3, interval=0.05, timeout=10.0),
        "databases": ["bot.db"],
    }
    return RolePlan(**{**usual, **changes})


def plan(
    wanted: Release,
    fence: int,
    *,
    base: Release | None = None,
    config: dict[str, Any] | None = None,
    roles: Sequence[RolePlan] | None = None,
    **changes: Any,
) -> RunPlan:
    """A run of `wanted`, as deployment number `fence` unless told otherwise."""
    usual: dict[str, Any] = {
        "name": NAME,
        "deployment": str(fence),
        "fence": fence,
        "release": wanted.identifier,
        "version": wanted.version,
        "manifest": wanted.manifest.files,
        "roles": [role()] if roles is None else roles,
        "config": {"bot.json": json.dumps(config or {}).encode()},
        "deadlines": DEADLINES,
        "deadline": 120.0,
        "python": "3.11",
        "base": base.base if base else None,
        "actor": "operator",
        "reason": "a test",
    }
    return RunPlan(**{**usual, **changes})

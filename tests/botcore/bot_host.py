"""A real Debian host with the bot on it, laid out as a deployment lays it out."""

from __future__ import annotations

import io
import json
import re
import tarfile
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from sandbox.cytube import SANDBOX_PASSWORD
from sandbox.hosts import Host
from tests.botcore.running import CHANNEL, NAME

ROOT = Path(__file__).parents[2]
HOME = "/opt/rosey-bot"
UNIT = "cytube-bot.service"
PORT = 8001
SITE = f"{HOME}/envs/bot/lib/python3.11/site-packages"
LAYOUT = f"""
set -eu
groupadd --system rosey-bot
useradd --system --gid rosey-bot --no-create-home --shell /usr/sbin/nologin rosey-bot
useradd --create-home --groups rosey-bot,systemd-journal rosey
mkdir -p {HOME}/releases/r1 {HOME}/envs {HOME}/shared/config/c1 {HOME}/shared/data {HOME}/shared/secrets {HOME}/.deploy
python3 -m venv --without-pip {HOME}/envs/bot
"""
OWNERS = f"""
set -eu
ln -sfn releases/r1 {HOME}/current
mkdir -p {HOME}/releases/r1/.envs
ln -sfn ../../../envs/bot {HOME}/releases/r1/.envs/bot
ln -sfn ../../shared/config/c1 {HOME}/releases/r1/.config
printf 'RELEASE_ID=r1\\nRELEASE_VERSION=0\\n' > {HOME}/releases/r1/.release
python3 -m compileall -q {SITE} >/dev/null || true
chown -R rosey:rosey {HOME}
find {HOME}/releases -type f -exec chmod 0444 {{}} +
chgrp -R rosey-bot {HOME}/shared/config {HOME}/shared/data
chmod 0750 {HOME}/shared/config/c1
chmod 2770 {HOME}/shared/data
chmod 0700 {HOME}/shared/secrets {HOME}/.deploy
chmod 0400 {HOME}/shared/secrets/*
systemctl daemon-reload
"""


class BotHost:
    """The host, and how to ask it about the bot."""

    def __init__(self, host: Host) -> None:
        self.host = host

    def sh(self, script: str, *, check: bool = True, deadline: float = 60.0) -> str:
        done = self.host.root(["sh", "-c", script], check=check, deadline=deadline)
        return done.stdout.decode() + done.stderr.decode()

    def put(self, path: str, content: str | bytes, mode: int = 0o644) -> None:
        data = content.encode() if isinstance(content, str) else content
        self.host.root(["sh", "-c", f"umask 077; cat > {path} && chmod {mode:o} {path}"], input=data)

    def install(self) -> None:
        self.sh(LAYOUT)
        self.host.root(["tar", "-xf", "-", "-C", SITE], input=_environment(), deadline=120)
        self.host.root(["tar", "-xf", "-", "-C", f"{HOME}/releases/r1"], input=_release())
        self.put(f"/etc/systemd/system/{UNIT}", (ROOT / "systemd" / UNIT).read_bytes())
        self.put(f"{HOME}/shared/secrets/cytube-password", SANDBOX_PASSWORD)
        self.put(f"{HOME}/shared/secrets/portal-token", "")
        self.put(f"{HOME}/shared/config/c1/bot.json", "{}", 0o640)
        self.sh(OWNERS)

    def configure(self, url: str, **changes: Any) -> None:
        document = {
            "domain": url,
            "channel": {"name": CHANNEL},
            "user": {"name": NAME},
            "health": {"host": "0.0.0.0", "port": PORT},
            **changes,
        }
        path = f"{HOME}/shared/config/c1/bot.json"
        self.put(path, json.dumps(document), 0o640)
        self.sh(f"chown rosey:rosey-bot {path}")

    def drop_in(self, text: str) -> None:
        """Override parts of the unit for one test; "" takes it back."""
        folder = f"/etc/systemd/system/{UNIT}.d"
        self.sh(f"mkdir -p {folder}; rm -f {folder}/test.conf")
        if text:
            self.put(f"{folder}/test.conf", text)
        self.sh("systemctl daemon-reload")

    def property(self, name: str) -> str:
        return self.sh(f"systemctl show -P {name} {UNIT}").strip()

    def health(self) -> dict[str, Any]:
        """The health document, asked on the host itself; {} when nothing listens."""
        text = self.sh(f"curl -s -m 5 http://127.0.0.1:{PORT}/api/health", check=False)
        return json.loads(text) if text.startswith("{") else {}

    def wait(self, *, connected: bool, deadline: float) -> float:
        """Seconds until health says so."""
        began = time.monotonic()
        while time.monotonic() - began < deadline:
            if self.health().get("connected") is connected:
                return time.monotonic() - began
            time.sleep(0.05)
        raise AssertionError(f"not connected={connected} within {deadline} s: {self.health()} {self.journal()}")

    def restart(self) -> None:
        self.sh(f"systemctl reset-failed {UNIT}; systemctl restart {UNIT}")

    def stop(self) -> None:
        self.sh(f"systemctl stop {UNIT}; systemctl reset-failed {UNIT}", check=False)

    def journal(self, *options: str) -> str:
        return self.sh(f"journalctl --no-pager -o cat -n 60 -u {UNIT} {' '.join(options)}", check=False)


def _environment() -> bytes:
    """What requirements/bot.txt names, as installed for these tests."""
    names = re.findall(r"^([A-Za-z0-9._-]+)==", (ROOT / "requirements" / "bot.txt").read_text(), re.MULTILINE)
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name in names:
            try:
                files = metadata.distribution(name).files or []
            except metadata.PackageNotFoundError:
                continue  # for another platform
            for file in files:
                if not str(file).startswith("..") and not str(file).endswith(".pyc"):
                    tar.add(str(file.locate()), arcname=str(file))
    return archive.getvalue()


def _release() -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for path in [*sorted((ROOT / "botcore").rglob("*")), ROOT / "VERSION"]:
            if path.is_file() and path.suffix != ".pyc":
                tar.add(path, arcname=str(path.relative_to(ROOT)))
    return archive.getvalue()

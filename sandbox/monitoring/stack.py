"""Prometheus and Alertmanager as processes of this one, configured by monitoring/render.py."""

from __future__ import annotations

import contextlib
import ctypes
import json
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import IO, Any

ROOT = Path(__file__).resolve().parent.parent.parent
SOURCE = ROOT / "monitoring"
SHIPPED_RULES = SOURCE / "rules"
PROGRAMS = ("prometheus", "prometheus-alertmanager", "promtool", "amtool")
START_SECONDS = 60.0
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


class MonitoringFailed(Exception):
    """Prometheus or Alertmanager did not start, or their configuration was refused."""


def missing_program() -> str | None:
    """The first program of the two Debian packages that is not installed, or None."""
    return next((name for name in PROGRAMS if shutil.which(name) is None), None)


class Monitoring:
    """Both programs, with their data in `directory`; use it as a context manager.

    `settings` is laid over monitoring/settings.json; `secrets` are the files it names, by name. `rules` are the rule
    files (the shipped ones unless a test shortens them).
    """

    def __init__(
        self, directory: Path, settings: Mapping[str, Any], secrets: Mapping[str, str], rules: Path = SHIPPED_RULES
    ) -> None:
        self.directory = directory
        self._secrets = secrets
        self._rules = rules
        self._children: list[subprocess.Popen[bytes]] = []
        self._logs: list[IO[bytes]] = []
        # The kernel tells children of the end of the thread that started them, not of the process (prctl(2)): theirs
        # lives until stop(), wherever this is entered.
        self._parent = ThreadPoolExecutor(1, "monitoring")
        given = json.loads(json.dumps(settings))
        for name in ("prometheus", "alertmanager"):
            given.setdefault(name, {}).setdefault("listen", f"127.0.0.1:{_free_port()}")
        shipped = json.loads((SOURCE / "settings.json").read_text())
        self.settings = {name: {**table, **given.get(name, {})} for name, table in shipped.items()}
        self.prometheus_url = f"http://{self.settings['prometheus']['listen']}"
        self.alertmanager_url = f"http://{self.settings['alertmanager']['listen']}"

    def __enter__(self) -> Monitoring:
        try:
            self.render()
            # Alertmanager first: an alert that nobody takes is sent again after a minute only
            self._start(
                "alertmanager",
                "prometheus-alertmanager",
                f"--config.file={self.directory / 'alertmanager.yml'}",
                f"--storage.path={self.directory / 'alerts'}",
                f"--web.listen-address={self.settings['alertmanager']['listen']}",
                "--cluster.listen-address=",
            )
            self._wait_until_ready("alertmanager", self.alertmanager_url)
            self._start(
                "prometheus",
                "prometheus",
                f"--config.file={self.directory / 'prometheus.yml'}",
                f"--storage.tsdb.path={self.directory / 'tsdb'}",
                f"--web.listen-address={self.settings['prometheus']['listen']}",
                "--storage.tsdb.retention.time=1d",
                # what was sent before Alertmanager was discovered (5 s) comes again soon, not after a minute
                f"--rules.alert.resend-delay={self.settings['prometheus']['interval']}",
            )
            self._wait_until_ready("prometheus", self.prometheus_url)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def render(self) -> None:
        """Write the configuration, as the unit on a server does before it starts. Raises MonitoringFailed."""
        tree = self.directory / "source"
        tree.mkdir(parents=True, exist_ok=True)
        for name in ("render.py", "settings.json"):
            shutil.copy(SOURCE / name, tree / name)
        shutil.rmtree(tree / "rules", ignore_errors=True)
        shutil.copytree(self._rules, tree / "rules")
        keep = self.directory / "secrets"
        keep.mkdir(mode=0o700, exist_ok=True)
        for name, text in self._secrets.items():
            (keep / name).touch(mode=0o600)
            (keep / name).write_text(text)
        (self.directory / "monitoring.json").write_text(json.dumps(self.settings))
        done = subprocess.run(
            [
                *(sys.executable, str(tree / "render.py"), "--settings", str(self.directory / "monitoring.json")),
                *("--secrets", str(keep), "--into", str(self.directory), "--check"),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise MonitoringFailed(done.stderr.strip())

    def _wait_until_ready(self, name: str, url: str) -> None:
        end = time.monotonic() + START_SECONDS
        while not _answers(f"{url}/-/ready"):
            if time.monotonic() > end or any(child.poll() is not None for child in self._children):
                log = (self.directory / f"{name}.log").read_text(errors="replace")[-2000:]
                raise MonitoringFailed(f"{name} did not start:\n{log}")
            time.sleep(0.05)

    def stop(self) -> None:
        """End both and wait for them."""
        for child in self._children:
            child.send_signal(signal.SIGTERM)
        for child in self._children:
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        self._children.clear()
        for log in self._logs:
            log.close()
        self._logs.clear()
        self._parent.shutdown()

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The instant vector of an expression."""
        url = f"{self.prometheus_url}/api/v1/query?query={urllib.parse.quote(expression)}"
        with urllib.request.urlopen(url, timeout=10) as response:
            result: list[dict[str, Any]] = json.load(response)["data"]["result"]
            return result

    def _start(self, name: str, *command: str) -> None:
        log = (self.directory / f"{name}.log").open("wb")
        self._logs.append(log)
        started = self._parent.submit(
            subprocess.Popen, command, cwd=self.directory, stdout=log, stderr=log, preexec_fn=_die_with_parent
        )
        self._children.append(started.result())


def _die_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _free_port() -> int:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as probe:
        return int(probe.getsockname()[1])


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False

"""The demo's portal: an ordinary one in a state directory of its own, driven by its management commands."""

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from sandbox.demo.accounts import SCRIPT

ROOT = Path(__file__).resolve().parent.parent.parent
KEPT = "wheels"  # downloads, the only thing worth keeping between two demos


class CommandFailed(Exception):
    """A management command ended with an unexpected exit code."""


class DemoPortal:
    """A portal with fresh state, reachable from this machine and from the demo's servers."""

    def __init__(self, state: Path, port: int, gateway: str, **settings: str) -> None:
        """`settings` are further environment variables of the portal."""
        self.state = state
        self.tree = ROOT
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.reporting_url = f"http://{gateway}:{port}"
        self._gateway = gateway
        self._process: subprocess.Popen[bytes] | None = None
        self.passwords = {name: secrets.token_urlsafe(9) for name in ("operator", "approver", "admin")}
        # what sets up a portal of whoever starts this one is not this one's: its database least of all
        others = ("PORTAL_", "DATABASE_", "DJANGO_", "PROMETHEUS_", "ALERTMANAGER_")
        self.environment = {
            **{name: text for name, text in os.environ.items() if not name.startswith(others)},
            "PORTAL_STATE_DIR": str(state),
            "PORTAL_URL": self.url,
            "PORTAL_ALLOWED_HOSTS": f"127.0.0.1,localhost,{gateway}",
            **settings,
        }

    def reset(self) -> None:
        """Throw the last demo's state away."""
        self.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        for entry in self.state.iterdir():
            if entry.name != KEPT:
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()

    def start(self) -> None:
        """Make the database, and start; commands can be given at once."""
        self.manage("migrate", "--verbosity", "0")
        self.run()

    def run(self) -> None:
        """Start web process and workers, which see to their database themselves; they end with this process."""
        log = (self.state / "portal.log").open("ab")
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "portal.run"),
                *("--bind", f"127.0.0.1:{self.port}", "--bind", f"{self._gateway}:{self.port}"),
            ],
            cwd=self.tree,
            env=self.environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        log.close()

    @property
    def pid(self) -> int:
        """Of the process that keeps the others running. Raises CommandFailed when it does not run."""
        if self._process is None:
            raise CommandFailed("The portal does not run.")
        return self._process.pid

    def wait_until_up(self, deadline: float = 180.0) -> None:
        """Return when the web process answers. Raises CommandFailed with the end of its log."""
        end = time.monotonic() + deadline
        while time.monotonic() < end:
            if self._process is not None and self._process.poll() is not None:
                break
            try:
                with urllib.request.urlopen(f"{self.url}/admin/login/", timeout=2):
                    return
            except (urllib.error.URLError, TimeoutError, ConnectionError):
                time.sleep(0.1)
        tail = (self.state / "portal.log").read_text(errors="replace")[-2000:]
        raise CommandFailed(f"The portal did not start:\n{tail}")

    def stop(self) -> None:
        """End it and wait for its processes."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(40)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def make_accounts(self, configuration: dict[str, Any], *, days: int = 1, bake: int | None = None) -> None:
        """Make operator, approver and admin, their tokens for so many days, and the environments' configuration.

        `bake` are seconds for which deployments are watched, where that is not as shipped.
        """
        tokens = self.state / "tokens.json"
        asked = {"passwords": self.passwords, "configuration": configuration, "days": days, "bake_seconds": bake}
        self._run(
            ["shell", "--command", SCRIPT],
            extra={"DEMO_ACCOUNTS": json.dumps(asked), "DEMO_TOKENS": str(tokens)},
        )
        for name, text in json.loads(tokens.read_text()).items():
            path = self.token_file(name)
            path.touch(mode=0o600)
            path.write_text(text)
        tokens.unlink()

    def token_file(self, name: str) -> Path:
        """The file with the token of `operator`, `approver`, `admin` or `monitoring`."""
        return self.state / f"{name}.token"

    def manage(
        self,
        *arguments: str,
        stdin: str = "",
        person: str | None = None,
        allowed: tuple[int, ...] = (0,),
        show: bool = False,
    ) -> str:
        """Run one management command; returns what it printed. Raises CommandFailed for another exit code."""
        extra = {"PORTAL_TOKEN_FILE": str(self.token_file(person))} if person else {}
        return self._run(list(arguments), stdin=stdin, extra=extra, allowed=allowed, show=show)

    def _run(
        self,
        arguments: list[str],
        *,
        stdin: str = "",
        extra: dict[str, str] | None = None,
        allowed: tuple[int, ...] = (0,),
        show: bool = False,
    ) -> str:
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=self.tree,
            env={**self.environment, **(extra or {})},
            input=stdin,
            text=True,
            stdout=None if show else subprocess.PIPE,
            stderr=None if show else subprocess.STDOUT,
            check=False,
        )
        if done.returncode not in allowed:
            said = "" if show else f":\n{done.stdout.strip()}"
            raise CommandFailed(f"manage.py {arguments[0]} ended with {done.returncode}{said}")
        return "" if show else str(done.stdout)

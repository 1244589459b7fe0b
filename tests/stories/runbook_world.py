"""Who follows the runbook on real servers: what is up there, and what it runs."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.demo.stage import Stage
from sandbox.hosts import Host

UNIT = "cytube-bot.service"
ROOT_OF_BOT = "/opt/rosey-bot"
SERVERS = {"test": "test-1", "production": "prod-1"}
"""By environment."""


@dataclass
class World:
    """What is up, and who follows the runbook in it."""

    stage: Stage
    home: Path
    newer: str = ""
    held: "subprocess.Popen[bytes] | None" = None

    def manage(self, *words: str, person: str = "admin", stdin: str = "", allowed: tuple[int, ...] = (0,)) -> str:
        """A command of the portal that is no part of a section."""
        return self.stage.portal.manage(*words, person=person, stdin=stdin, allowed=allowed)

    def host(self, environment: str = "test") -> Host:
        """The server of an environment."""
        return self.stage.host(environment)

    def root(self, script: str, environment: str = "test") -> str:
        """A line of shell on a server, as root."""
        return self.host(environment).root(["bash", "-c", script], deadline=120).stdout.decode()

    def follow(self, line: str, environment: str, stdin: str) -> tuple[int, str]:
        """One command as printed: how it ended, and what it said."""
        if line.startswith("./manage.py"):
            done = subprocess.run(
                ["bash", "-c", line], cwd=self.stage.portal.tree, env=self._shell(), input=stdin,
                capture_output=True, text=True, timeout=300, check=False,
            )  # fmt: skip
            return done.returncode, done.stdout + done.stderr
        there = self.host(environment).root(["bash", "-c", line], check=False, deadline=120)
        return there.returncode, (there.stdout + there.stderr).decode(errors="replace")

    def _shell(self) -> dict[str, str]:
        """The administrator's: a token, and the key that opens the servers where ssh looks for it."""
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        token = str(self.stage.portal.token_file("admin"))
        return {**self.stage.portal.environment, "PATH": path, "HOME": str(self.home), "PORTAL_TOKEN_FILE": token}

    def query(self, expression: str) -> list[dict[str, Any]]:
        """What Prometheus answers."""
        assert self.stage.watch.stack is not None
        return self.stage.watch.stack.query(expression)

    def firing(self, name: str) -> bool:
        """Whether Prometheus says so."""
        return bool(self.query(f'ALERTS{{alertname="{name}", alertstate="firing"}}'))

    def live(self, environment: str = "test") -> str:
        """The release that runs there."""
        return self.root("readlink /opt/rosey-bot/current", environment).strip().removeprefix("releases/")

    def newest(self) -> str:
        """The number of the deployment to `test` that was asked for last."""
        return str(json.loads(self.manage("history", "test", "--format", "json", "--limit", "1"))[0]["deployment"])

    def forward(self) -> None:
        """The newer release on `test`, with an earlier one to go back to, and the bot up."""
        if self.live() != self.newer:
            said = ("--release", self.newer, "--reason", "forward", "--again")
            self.manage("deploy", "test", *said, person="operator")

"""A portal as it runs in life: web process and workers, reached over HTTP, with people who have tokens."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.fixtures.fleet import APPLICATION, Provisioned

ROOT = Path(__file__).resolve().parents[2]
UP_WITHIN = 90.0
# Records of people and servers, as enroll and provision write them; the value comes over an environment variable.
SCRIPT = """
import json, os
from django.contrib.auth.models import Group, User
from deployments.models import Environment, Scope, Server
from deployments.access.policy import user_actor
from deployments.access.tokens import issue_token

wanted = json.loads(os.environ["PORTAL_FOR_TESTS"])
tokens = {}
for name, roles, scopes in wanted["people"]:
    user = User.objects.create_user(name)
    user.groups.set(Group.objects.filter(name__in=roles))
    chosen = [Scope(scope) for scope in scopes]
    tokens[name] = str(issue_token(actor=user_actor(user), name="tests", scopes=chosen, owner=user)[1])
for server in wanted["servers"]:
    environment = Environment.objects.get(name=server.pop("environment"))
    environment.private_key, environment.public_key = wanted["private_key"], wanted["public_key"]
    environment.application, environment.bake_seconds = wanted["application"], 0
    environment.save()
    Server.objects.create(environment=environment, roles=["bot"], state="provisioned", **server)
print(json.dumps(tokens))
"""
PEOPLE = [
    ["olga", ["operator"], ["read", "release", "deploy"]],
    ["anna", ["approver"], ["read", "approve"]],
    ["mara", ["administrator"], ["read", "administer"]],
]


class Portal:
    """One portal with a state directory of its own."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.url = f"http://127.0.0.1:{_free_port()}"
        self.tokens: dict[str, str] = {}

    @property
    def environment(self) -> dict[str, str]:
        """For its processes, and for management commands beside them."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PORTAL_", "DJANGO_"))}
        return kept | {"PORTAL_STATE_DIR": str(self.state), "PORTAL_URL": self.url, "PYTHONWARNINGS": "ignore"}

    def manage(
        self, *argv: str, person: str = "", stdin: str = "", extra: Mapping[str, str] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """A management command, as somebody at the shell or the owner of a token."""
        return subprocess.run(
            [sys.executable, "manage.py", *argv],
            cwd=ROOT,
            env=self.environment | self.acting(person) | dict(extra or {}),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def acting(self, person: str) -> dict[str, str]:
        """The variable that makes a management command act as `person`."""
        return {"PORTAL_TOKEN": self.tokens[person]} if person else {}

    def prepare(self, provisioned: Provisioned, migrated: Path) -> None:
        """Make its database, people, and the records of the two servers."""
        shutil.copyfile(migrated, self.state / "portal.sqlite3")
        names = {"test": "dice-test", "production": "dice-prod"}
        servers = [
            {
                "environment": environment,
                "name": name,
                "host": machine.address,
                "port": machine.port,
                "host_key": machine.host_key,
                "fingerprint": machine.fingerprint,
                "unit_files": provisioned.unit_files,
            }
            for (environment, name), machine in zip(names.items(), provisioned.machines, strict=True)
        ]
        wanted = {
            "people": PEOPLE,
            "servers": servers,
            "application": APPLICATION,
            "private_key": provisioned.private_key,
            "public_key": provisioned.public_key,
        }
        done = self.manage("shell", "--command", SCRIPT, extra={"PORTAL_FOR_TESTS": json.dumps(wanted)})
        assert done.returncode == 0, done.stderr
        self.tokens = json.loads(done.stdout.splitlines()[-1])

    @contextmanager
    def running(self) -> Iterator["Portal"]:
        """With web process and workers."""
        log = (self.state / "portal.log").open("wb")
        process = subprocess.Popen(
            [sys.executable, "-m", "portal.run", "--bind", self.url.removeprefix("http://")],
            cwd=ROOT,
            env=self.environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            self._wait_until_up(process)
            yield self
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
            log.close()

    def _wait_until_up(self, process: "subprocess.Popen[bytes]") -> None:
        end = time.monotonic() + UP_WITHIN
        while process.poll() is None and time.monotonic() < end:
            try:
                with urllib.request.urlopen(f"{self.url}/healthz", timeout=60):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        raise AssertionError((self.state / "portal.log").read_text()[-3000:])

    def api(self, method: str, path: str, person: str, body: Any = None) -> tuple[int, Any]:
        """Ask its API; status and document."""
        request = urllib.request.Request(
            f"{self.url}/api/v1{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.tokens[person]}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())

    def wait_for(self, number: int, *statuses: str, deadline: float = 120.0) -> dict[str, Any]:
        """A deployment once it has one of these statuses."""
        end = time.monotonic() + deadline
        while True:
            _, document = self.api("GET", f"/deployments/{number}?wait=5", "olga")
            if document["status"] in statuses:
                return dict(document)
            assert time.monotonic() < end, document
            time.sleep(0.1)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

"""A portal whose disk has no byte left: a real one, on a small file system of its own."""

import contextlib
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.portal.processes import DELIVERY

pytestmark = pytest.mark.hosts
MAKE = """
from django.contrib.auth.models import User
from django.test import Client
from deployments.access.tokens import issue_token
from deployments.core.actors import system_actor
from deployments.models import Environment, Scope
root = User.objects.create_superuser("root")
client = Client()
client.force_login(root, backend="django.contrib.auth.backends.ModelBackend")
print(client.cookies["sessionid"].value)
for scope in (Scope.METRICS, Scope.ALERTS):
    print(str.__str__(issue_token(actor=system_actor('tests'), name=str(scope), scopes=[scope], owner=None)[1]))
"""


class Portal:
    """It runs with its state on a file system of 48 MB."""

    def __init__(self, state: Path) -> None:
        self.state = state
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self.environment = os.environ | {"PORTAL_STATE_DIR": str(state), "DJANGO_SETTINGS_MODULE": "portal.settings"}
        for name in ("PORTAL_URL", "DATABASE_URL", "PROMETHEUS_MULTIPROC_DIR"):
            self.environment.pop(name, None)

    def ask(self, path: str, headers: Mapping[str, str] | None = None, document: object = None) -> tuple[int, str]:
        """Status and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        with contextlib.closing(connection):
            body = None if document is None else json.dumps(document)
            kind = {"Content-Type": "application/json"} if body else {}
            connection.request("POST" if body else "GET", path, body, {**kind, **(headers or {})})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def manage(self, *arguments: str) -> str:
        """What a command printed."""
        command = [sys.executable, "-m", "portal", *arguments]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=True, timeout=120)
        return done.stdout

    def web_processes(self, main: int) -> set[int]:
        """Those that answer: the children of gunicorn's main process."""
        found = subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout
        rows = [line.split(maxsplit=2) for line in found.splitlines()[1:]]
        web = {row[0] for row in rows if row[1] == str(main) and "gunicorn" in row[2]}
        return {int(row[0]) for row in rows if row[1] in web}

    def wait(self) -> None:
        """Until it answers."""
        end = time.monotonic() + 120
        while True:
            with contextlib.suppress(OSError):
                self.ask("/healthz")
                return
            assert time.monotonic() < end, "it did not start"
            time.sleep(0.1)

    def fill(self) -> None:
        """Not a byte is left."""
        with (self.state / "ballast").open("wb", buffering=0) as ballast, contextlib.suppress(OSError):
            while True:
                ballast.write(bytes(4096))
        with (self.state / "ballast.rest").open("wb", buffering=0) as ballast, contextlib.suppress(OSError):
            while True:
                ballast.write(b"\0")

    def empty(self) -> None:
        """There is room again."""
        for name in ("ballast", "ballast.rest"):
            (self.state / name).unlink()


@pytest.fixture
def portal(tmp_path: Path) -> Iterator[Portal]:
    state = tmp_path / "state"
    state.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m,mode=0700", "tmpfs", str(state)], check=True)
    try:
        yield Portal(state)
    finally:
        subprocess.run(["umount", str(state)], check=True)


def test_without_a_byte_left_everything_is_read_and_nothing_dies(
    portal: Portal, tmp_path: Path, migrated: Path
) -> None:
    shutil.copyfile(migrated, portal.state / "portal.sqlite3")
    session, metrics, alerts = portal.manage("shell", "-v", "0", "-c", MAKE).split()
    member = {"Cookie": f"sessionid={session}"}
    reading, telling = ({"Authorization": f"Bearer {token}"} for token in (metrics, alerts))
    with (tmp_path / "said").open("wb") as said:
        command = [sys.executable, "-m", "portal.run", "--bind", f"127.0.0.1:{portal.port}"]
        running = subprocess.Popen(command, env=portal.environment, stdout=said, stderr=said)
    try:
        portal.wait()
        before = portal.web_processes(running.pid)
        portal.fill()
        for path, headers in {"/": {}, "/alerts/": member, "/admin/": member, "/metrics": reading}.items():
            for _ in range(4):  # of both processes
                assert portal.ask(path, headers)[0] == 200, path
        assert portal.ask("/api/health")[0] in (404, 503)  # as ever, where no bot is enrolled
        status, body = portal.ask("/healthz")
        assert (status, json.loads(body)["status"]) == (200, "disk full")
        for _ in range(4):
            status, body = portal.ask("/api/alerts/alertmanager", telling, DELIVERY)
            assert (status, json.loads(body)["reason"]) == (507, "disk_full")
        assert before == portal.web_processes(running.pid) != set()
        portal.empty()
        assert portal.ask("/api/alerts/alertmanager", telling, DELIVERY)[0] == 204
        assert json.loads(portal.ask("/healthz")[1])["status"] == "ok"
        assert before == portal.web_processes(running.pid)
    finally:
        running.terminate()
        running.wait(60)
        print((tmp_path / "said").read_text()[-6000:])

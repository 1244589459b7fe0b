"""docs/scaling.md as printed: two portals on one PostgreSQL, each with a state directory of its own."""

import http.client
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from portal.environment import BASE_DIR
from tests import postgres
from tests.portal.processes import without_settings

pytestmark = pytest.mark.full
PAGE = (BASE_DIR / "docs" / "scaling.md").read_text()
SETTINGS = dict(line.split("=", 1) for line in re.findall(r"```env\n(.*?)```", PAGE, re.DOTALL)[0].splitlines())
CLUSTERS = ("default", "deploys", "rescue")
ONCE, EVERYWHERE = (block.splitlines() for block in re.findall(r"```sh example\n(.*?)```", PAGE, re.DOTALL))
ADMIN = (
    "from django.contrib.auth.models import User; from django.test import Client; "
    "u = User.objects.create_superuser('ada'); c = Client(); "
    "c.force_login(u, backend='django.contrib.auth.backends.ModelBackend'); print(c.cookies['sessionid'].value)"
)
HEARD = (
    "from deployments.models import ClusterBeat; print(','.join(str(row) for row in "
    "ClusterBeat.objects.filter(at__gt='{since}')))"
)
NAME = "from deployments.core import beats; print(beats.machine())"


def wait_for(condition: Callable[[], object], what: str, seconds: float = 150) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited for {what}"
        time.sleep(0.2)


@dataclass
class Machine:
    """What the page has somebody set up on one machine."""

    state: Path
    keys: Path
    database: str
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.state.mkdir()
        (self.state / "artifacts").symlink_to(self.keys.parent / "artifacts")
        (self.state / "metrics").mkdir()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]

    def environment(self, **others: str) -> dict[str, str]:
        """The page's settings, with this machine's places."""
        given = {name: text.replace("/etc/cytube-ops", str(self.keys)) for name, text in SETTINGS.items()}
        given |= {"PORTAL_STATE_DIR": str(self.state), "DATABASE_URL": self.database}
        return without_settings() | given | {"PROMETHEUS_MULTIPROC_DIR": str(self.state / "metrics")} | others

    def command(self, line: str) -> list[str]:
        """A printed command, with this interpreter and a port that is free."""
        return [sys.executable, *shlex.split(line.replace(":8080", f":{self.port}"))[1:]]

    def run(self, line: str, **others: str) -> "subprocess.CompletedProcess[str]":
        """A command that ends."""
        return subprocess.run(
            self.command(line),
            cwd=BASE_DIR,
            env=self.environment(**others),
            capture_output=True,
            text=True,
            timeout=200,
        )

    def shell(self, program: str) -> str:
        """What a program in the portal prints."""
        done = self.run(f"python -m portal shell --no-imports -c {shlex.quote(program)}")
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def start(self, line: str) -> None:
        """A service."""
        self.running.append(
            subprocess.Popen(self.command(line), cwd=BASE_DIR, env=self.environment(), start_new_session=True)
        )

    def die(self) -> None:
        """Power off."""
        for process in self.running:
            for child in [*_descendants(process.pid), process.pid]:
                with suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
            process.wait()
        self.running.clear()

    def get(self, path: str, cookie: str = "") -> tuple[int, str]:
        """What it answers under the address that all have."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {"Host": "ops.example.org", "X-Forwarded-Proto": "https", "Cookie": f"sessionid={cookie}"}
        try:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except OSError:
            return 0, ""
        finally:
            connection.close()


def _descendants(pid: int) -> list[int]:
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    children = [int(line) for line in found.stdout.split()]
    return [each for child in children for each in (*_descendants(child), child)]


@contextmanager
def two_machines(home: Path) -> Iterator[tuple[Machine, Machine]]:
    keys = home / "etc"
    keys.mkdir()
    (home / "artifacts").mkdir()
    (keys / "secret-key").write_text("s" * 60)
    (keys / "encryption-keys").write_text(Fernet.generate_key().decode())
    with ExitStack() as stack:
        database = stack.enter_context(postgres.server())
        one, two = (Machine(home / name, keys, database) for name in ("one", "two"))
        stack.callback(one.die)
        stack.callback(two.die)
        yield one, two


def test_two_machines_are_one_portal(tmp_path: Path) -> None:
    if reason := postgres.unavailable_reason():
        pytest.skip(reason)
    with two_machines(tmp_path) as (one, two):
        for line in ONCE:
            assert one.run(line).returncode == 0
        prepare, *services = EVERYWHERE
        for machine in (one, two):
            assert machine.run(prepare).returncode == 0
            for line in services:
                machine.start(line)
        for machine in (one, two):
            wait_for(lambda: machine.get("/healthz")[0] == 200, "both to serve")  # noqa: B023  (called at once)
        cookie = one.shell(ADMIN)
        assert [machine.get("/admin/", cookie)[0] for machine in (one, two)] == [200, 200], "one session"
        refused = two.run("python -m portal qcluster", PORTAL_SECRET_KEY="another")
        assert refused.returncode == 1
        assert refused.stderr.startswith("This process has other keys than the portal whose database it uses")

        def heard(since: str) -> set[str]:
            return set(two.shell(HEARD.format(since=since)).split(","))

        everyone = {
            name: {f"{cluster} on {machine.shell(NAME)}" for cluster in CLUSTERS}
            for name, machine in (("one", one), ("two", two))
        }
        both = everyone["one"] | everyone["two"]
        wait_for(lambda: heard("2000-01-01 00:00Z") == both, "every cluster of both machines to work")
        since = two.shell("from django.utils import timezone; print(timezone.now().isoformat())")
        one.die()
        assert two.get("/admin/", cookie)[0] == 200
        wait_for(lambda: heard(since) == everyone["two"], "the other to go on alone")

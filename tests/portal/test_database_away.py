"""A portal whose database stops, is only read or is of an earlier version: sentences with 503, without its address."""

import http.client
import json
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from cryptography.fernet import Fernet

from portal.environment import BASE_DIR
from tests.portal.processes import DELIVERY, without_settings
from tests.stories.databases import PostgresServer, free_port, has_postgres

pytestmark = pytest.mark.skipif(not has_postgres(), reason="PostgreSQL is not installed")
MEMBER = (
    "from django.contrib.auth.models import User; from django.test import Client; "
    "u = User.objects.create_superuser('ada'); c = Client(); "
    "c.force_login(u, backend='django.contrib.auth.backends.ModelBackend'); print(c.cookies['sessionid'].value); "
    "from deployments.access.tokens import issue_token; from deployments.core.actors import system_actor; "
    "print(str.__str__(issue_token(actor=system_actor('tests'), name='am', scopes=['alerts'], owner=None)[1]))"
)
PAGES = ("/", "/start/", "/admin/", "/admin/login/", "/deployments/", "/nowhere")
FOR_PROGRAMS = ("/healthz", "/api/health", "/api/v1/environments")


class Portal:
    """Its web process, on a PostgreSQL of its own."""

    def __init__(self, state: Path, database: PostgresServer) -> None:
        self.database, self.port = database, free_port()
        self.environment = without_settings() | {"PORTAL_STATE_DIR": str(state), "DATABASE_URL": database.url}
        self.cookie = self.token = ""

    def command(self, *arguments: str) -> str:
        """What a management command prints."""
        line = [sys.executable, "-m", "portal", *arguments]
        done = subprocess.run(line, cwd=BASE_DIR, env=self.environment, capture_output=True, text=True, timeout=200)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def get(self, path: str) -> tuple[int, str]:
        """What a member is answered, in whatever state the portal is."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            connection.request("GET", path, headers={"Cookie": f"sessionid={self.cookie}"})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def deliver(self) -> dict[str, Any]:
        """What Alertmanager is answered to a delivery."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            connection.request("POST", "/api/alerts/alertmanager", json.dumps(DELIVERY), headers)
            return dict(json.loads(connection.getresponse().read() or b"{}"))

    def execute(self, statement: str, name: str = "portal") -> None:
        """As the database's administrator."""
        with psycopg.connect(self.database.url.rpartition("/")[0] + f"/{name}", autocommit=True) as connection:
            connection.execute(statement)


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    state = tmp_path_factory.mktemp("away") / "state"
    database = PostgresServer(state)
    database.start()
    try:
        portal = Portal(state, database)
        for line in ("migrate --verbosity 0", "collectstatic --noinput --verbosity 0"):
            portal.command(*shlex.split(line))
        portal.cookie, portal.token = portal.command("shell", "--no-imports", "-c", MEMBER).split()
        with serving(portal):
            until(portal, 200)
            yield portal
    finally:
        database.stop()


@contextmanager
def serving(portal: Portal) -> Iterator[None]:
    """Its web process, while the block lasts."""
    program = "-m gunicorn --config python:portal.gunicorn portal.wsgi:application --bind"
    web = [sys.executable, *program.split(), f"127.0.0.1:{portal.port}"]
    with subprocess.Popen(web, cwd=BASE_DIR, env=portal.environment) as running:
        try:
            yield
        finally:
            running.terminate()


def until(portal: Portal, status: int) -> str:
    """What it says of its health once it answers so."""
    end = time.monotonic() + 120
    said: tuple[int, str] = (0, "")
    while said[0] != status:
        assert time.monotonic() < end, f"waited for {status}: {said}"
        with suppress(OSError):
            said = portal.get("/healthz")
        time.sleep(0.1)
    return said[1]


def says(portal: Portal, sentence: str, code: str) -> None:
    """Every page, and every address for programs, says so, and not where the database is."""
    for path in PAGES:
        status, page = portal.get(path)
        assert (status, f"<h1>{sentence}" in page.replace("&#x27;", "'"), code in page) == (503, True, True), path
        assert str(portal.database.url.rpartition(":")[2].partition("/")[0]) not in page
        assert "Traceback" not in page
    for path in FOR_PROGRAMS:
        status, answer = portal.get(path)
        assert (status, json.loads(answer)["detail"].startswith(sentence)) == (503, True), path


def test_while_the_database_is_away_everybody_is_told_so(portal: Portal) -> None:
    assert portal.get("/")[0] == 200
    with portal.database.away():
        says(portal, "The portal's database does not answer.", "ops-database-away")
    assert [portal.get(path)[0] for path in ("/", "/admin/", "/healthz")] == [200, 200, 200], "and goes on afterwards"


def test_beside_a_database_of_an_earlier_version_it_says_so(portal: Portal) -> None:
    portal.execute("ALTER TABLE django_session RENAME TO earlier")
    portal.execute("UPDATE django_migrations SET app = 'earlier' WHERE app = 'sessions'")
    try:
        says(portal, "The portal's database is of an earlier version (missing migrations: 1)", "ops-unmigrated")
    finally:
        portal.execute("ALTER TABLE earlier RENAME TO django_session")
        portal.execute("UPDATE django_migrations SET app = 'sessions' WHERE app = 'earlier'")
    assert portal.get("/admin/")[0] == 200


def test_a_change_that_the_database_does_not_take_is_a_sentence(portal: Portal) -> None:
    """As a standby answers, before it is the one that takes changes."""
    restart = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'portal'"
    portal.execute("ALTER DATABASE portal SET default_transaction_read_only = on", "postgres")
    try:
        portal.execute(restart, "postgres")
        refused = portal.deliver()
        assert refused["detail"] == "The portal's database takes no changes."
        assert (refused["status"], refused["code"]) == (503, "ops-database-away")
    finally:
        portal.execute("ALTER DATABASE portal RESET default_transaction_read_only", "postgres")
        portal.execute(restart, "postgres")
    assert portal.deliver() == {}


def test_a_database_machine_that_says_nothing_holds_nobody_up_for_long(portal: Portal) -> None:
    """It takes the connection and answers nothing, as one whose power is gone takes none and answers nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgres://portal@127.0.0.1:{silent.getsockname()[1]}/portal"
        keys = {"PORTAL_SECRET_KEY": "k" * 60, "PORTAL_ENCRYPTION_KEYS": "a" * 43 + "="}
        done = subprocess.run(
            [sys.executable, "-m", "portal", "environments", "list"],
            cwd=BASE_DIR,
            env=portal.environment | keys | {"DATABASE_URL": url},
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert done.stderr.endswith("[ops-database-away]\n"), done.stderr


def test_a_process_with_other_keys_that_starts_without_the_database_serves_nothing_once_it_is_back(
    portal: Portal, tmp_path: Path
) -> None:
    other = Portal(tmp_path / "other", portal.database)
    other.environment |= {"PORTAL_SECRET_KEY": "k" * 60, "PORTAL_ENCRYPTION_KEYS": Fernet.generate_key().decode()}
    with ExitStack() as stack:
        with portal.database.away():
            stack.enter_context(serving(other))
            assert "no database" in until(other, 503)
        until(portal, 200)
        status, said = other.get("/")
    assert (status, said.startswith("This process has other keys than the portal whose database it uses")) == (
        503,
        True,
    )

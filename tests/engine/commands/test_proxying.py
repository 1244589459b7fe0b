"""The proxy in front, a real Caddy on loopback: what people see of Prometheus and Alertmanager, and may do there."""

import contextlib
import http.client
import os
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.test import Client

from engine.commands.proxying import METHODS, WATCHERS, caddyfile, readable
from sandbox.hosts import store


class Upstream:
    """Prometheus and Alertmanager in one: it writes down what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str]] = []
        upstream = self

        class Handler(BaseHTTPRequestHandler):
            def handle_any(self) -> None:
                upstream.asked.append((self.command, self.path, self.headers.get("Cookie", "")))
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.send_header("Cache-Control", "public, max-age=600")
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(b"ok")

            do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_OPTIONS = do_PATCH = handle_any

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()


@dataclass
class Front:
    """Caddy, and what lies behind it."""

    port: int
    watchers: int
    upstream: Upstream
    cookie: str = ""

    def ask(
        self, port: int, method: str, path: str, *, cookie: str = "", body: bytes | None = None
    ) -> tuple[int, dict[str, str]]:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=60, context=context)
        try:
            connection.request(method, path, body=body, headers={"Cookie": cookie} if cookie else {})
            answer = connection.getresponse()
            answer.read()
            return answer.status, dict(answer.getheaders())
        finally:
            connection.close()


def free(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


@pytest.fixture(scope="session", autouse=True)
def _static_files() -> None:
    Path(django_settings.STATIC_ROOT).mkdir(parents=True, exist_ok=True)


@pytest.fixture
def front(tmp_path: Path, live_server: Any, settings: Any, transactional_db: None) -> Iterator[Front]:
    program = shutil.which("caddy") or str(store.base() / "usr/bin/caddy")
    if not Path(program).exists():
        pytest.skip("neither this machine nor the servers' image has Caddy")
    upstream = Upstream()
    port, watchers, plain = free(3)
    settings.PORTAL_URL = f"https://127.0.0.1:{port}"
    text = caddyfile("127.0.0.1", watched=True)
    text = text.replace("\tadmin off\n", f"\tadmin off\n\thttp_port {plain}\n\thttps_port {port}\n", 1)
    text = text.replace("127.0.0.1:8443", f"127.0.0.1:{watchers}").replace(
        "127.0.0.1:8080", f"127.0.0.1:{live_server.thread.port}"
    )
    text = re.sub(r"127\.0\.0\.1:90(90|93)", f"127.0.0.1:{upstream.server.server_port}", text)
    text = text.replace("https://127.0.0.1 {", f"https://127.0.0.1:{port} {{")
    config = tmp_path / "Caddyfile"
    config.write_text(text)
    environment = {
        **os.environ,
        "HOME": str(tmp_path),
        "XDG_DATA_HOME": str(tmp_path),
        "XDG_CONFIG_HOME": str(tmp_path),
    }
    command = [program, "run", "--adapter", "caddyfile", "--config", str(config)]
    with (tmp_path / "caddy.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        found = Front(port, watchers, upstream)
        deadline = time.monotonic() + 60
        while True:
            try:
                found.ask(watchers, "GET", "/nothing")
                break
            except OSError:
                assert time.monotonic() < deadline, (tmp_path / "caddy.log").read_text()
                time.sleep(0.1)
        client = Client()
        user = User.objects.create_superuser("anna")
        client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
        found.cookie = f"sessionid={client.cookies['sessionid'].value}"
        yield found
    finally:
        process.terminate()
        process.wait(10)
        upstream.server.shutdown()
        upstream.server.server_close()


def test_the_watchers_are_looked_at_and_no_more(front: Front) -> None:
    for path in ("/alertmanager/", "/prometheus/graph"):
        assert front.ask(front.port, "GET", path)[1]["Location"] == f"https://127.0.0.1:{front.watchers}{path}"
        status, headers = front.ask(front.watchers, "GET", path)
        assert status == 302
        assert headers["Location"] == (
            f"https://127.0.0.1:{front.port}/admin/login/?next={path.replace('/', '%2F')}"
        ), "after the sign-in one lands where one wanted to go"
    assert front.upstream.asked == []

    for path in (
        "/alertmanager/api/v2/silences",
        "/prometheus/api/v1/query?query=up",
        "/prometheus/classic/static/a.js",
    ):
        status, headers = front.ask(front.watchers, "GET", path, cookie=front.cookie)
        assert status == 200, path
        assert headers["Cache-Control"] == "private, no-store"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert [(one[1], one[2]) for one in front.upstream.asked] == [
        ("/api/v2/silences", ""),
        ("/api/v1/query?query=up", ""),
        ("/classic/static/a.js", ""),
    ], "the session is nobody else's"

    front.upstream.asked.clear()
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        for path in ("/alertmanager/api/v2/silences", "/alertmanager/api/v2/alerts", "/prometheus/api/v1/query"):
            assert front.ask(front.watchers, method, path, cookie=front.cookie, body=b"{}")[0] == 405
    for path in NOT_SHOWN:
        assert front.ask(front.watchers, "GET", path, cookie=front.cookie)[0] in (404, 403, 400), path
    assert front.upstream.asked == []


def test_what_is_too_long_does_not_reach_the_portal(front: Front) -> None:
    body = b"\x00" * (4 << 20)
    with contextlib.suppress(ConnectionError, ssl.SSLError):  # it may hang up before all of it was sent
        assert front.ask(front.port, "POST", "/admin/login/", body=body)[0] in (413, 502)


NOT_SHOWN = [
    "/prometheus/-/quit",
    "/prometheus/-/reload",
    "/prometheus/debug/pprof/profile",
    "/prometheus/metrics",
    "/prometheus/federate",
    "/prometheus/api/v1/admin/tsdb/snapshot",
    "/prometheus/api/v1/write",
    "/alertmanager/-/reload",
    "/alertmanager/metrics",
    "/alertmanager/debug/pprof/",
    "/alertmanager/lib/../-/reload",
    "/alertmanager/lib/%2e%2e/-/reload",
    "/alertmanager/lib/..%2f-/reload",
    "/alertmanager//-/reload",
    "/alertmanager/api/v1/silences",
    "/other/",
]


@pytest.mark.parametrize("path", [path for path in NOT_SHOWN if path != "/other/"])
def test_the_portal_refuses_by_itself_what_is_not_shown(path: str) -> None:
    assert not readable("GET", path)
    answer = Client().get("/auth/staff", headers={"X-Forwarded-Uri": path, "X-Forwarded-Method": "GET"})
    assert answer.status_code == 403


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "get", "", "CONNECT"])
@pytest.mark.parametrize("path", ["/alertmanager/api/v2/silences", "/api/v2/silences", "/"])
def test_the_portal_lets_nobody_write_through_the_proxy(method: str, path: str) -> None:
    assert not readable(method, path)


def test_every_path_that_is_shown_passes() -> None:
    for name, watcher in WATCHERS.items():
        for path in watcher.paths:
            assert all(readable(method, f"/{name}{path.replace('*', 'a/b.js')}?x=1") for method in METHODS)

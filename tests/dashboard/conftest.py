"""A bot's health port that says what a test wants, and the records around it."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from deployments.access.policy import user_actor
from deployments.access.tokens import issue_token
from deployments.core.actors import system_actor
from deployments.models import ApiToken, Environment, Scope, Server
from tests.dashboard.browsing import chromium, visit

__all__ = ["chromium", "visit"]  # fixtures

DOCUMENT: dict[str, Any] = {
    "status": "connected",
    "connected": True,
    "channel": "rosey",
    "uptime": 12.5,
    "version": "1.0.0",
    "user_count": 3,
    "requests": 5,
    "errors": 1,
}
Script = Callable[[socket.socket], None]


class StandIn:
    """A health port on a real socket. `script` gets each connection after its request was read."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.calls: list[float] = []
        self.script: Script = self.says(DOCUMENT)
        self._stopped = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def says(self, document: Any, status: str = "200 OK", headers: str = "") -> Script:
        """A script that answers with `document` as JSON, or as it is when it is bytes."""
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
        return lambda connection: connection.sendall(head.encode() + body)

    def drips(self, data: bytes) -> Script:
        """A script that sends a byte every 50 ms."""

        def drip(connection: socket.socket) -> None:
            for byte in data:
                if self._stopped.wait(0.05):
                    return
                connection.sendall(bytes([byte]))

        return drip

    def hangs(self) -> Script:
        """A script that never says anything."""

        def waits(connection: socket.socket) -> None:
            self._stopped.wait()

        return waits

    def stop(self) -> None:
        """Close the port."""
        self._stopped.set()
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)  # else the accepting thread keeps the port open
        self.listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(10)
            try:
                request = b""
                while b"\r\n\r\n" not in request:
                    if not (piece := connection.recv(4096)):
                        return
                    request += piece
                self.calls.append(time.monotonic())
                self.script(connection)
            except OSError:
                return


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    """A running stand-in for a bot's health port."""
    bot = StandIn()
    yield bot
    bot.stop()


@pytest.fixture(scope="session", autouse=True)
def static_directory() -> None:
    """WhiteNoise asks for the directory, though staticfiles' finders serve the files in tests."""
    Path(settings.STATIC_ROOT).mkdir(exist_ok=True)


@pytest.fixture(autouse=True)
def own_state(state_dir: Path) -> Path:
    """Answers, limits and keys in files of this test's own."""
    return state_dir


@pytest.fixture
def production(db: None) -> Environment:
    """The environment of that name."""
    return Environment.objects.get(name="production")


@pytest.fixture
def enrol(production: Environment) -> Callable[..., Server]:
    """`enrol("prod-1", port=8001)`: the record of a server with a bot on this machine's loopback."""

    def make(
        name: str = "prod-1", *, port: int | None = None, environment: Environment | None = None, **more: Any
    ) -> Server:
        facts = {} if port is None else {"health": {"port": port, "path": "/api/health"}}
        fields: dict[str, Any] = {
            "environment": environment or production,
            "host": "127.0.0.1",
            "port": 1 + Server.objects.count(),
            "roles": ["bot"],
            "host_key": "ssh-ed25519 AAAA",
            "fingerprint": "SHA256:x",
            "state": Server.State.PROVISIONED,
            "facts": facts,
        }
        return Server.objects.create(name=name, **(fields | more))

    return make


@pytest.fixture
def token_for(db: None) -> Callable[..., str]:
    """`token_for(Scope.HEARTBEAT, server=…)`: the text of a new token."""

    def make(*scopes: Scope, **more: Any) -> str:
        owner = more.get("owner")
        actor = user_actor(owner) if owner else system_actor("tests")
        _, text = issue_token(actor=actor, name=f"t{ApiToken.objects.count()}", scopes=scopes, **more)
        return str.__str__(text)

    return make


@pytest.fixture
def anyone() -> Client:
    """A visitor who is not signed in."""
    return Client()

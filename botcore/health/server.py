"""The HTTP server: Flask on waitress, on its own threads."""

from __future__ import annotations

import contextlib
import json
import threading
import unicodedata
from collections.abc import Callable
from urllib.parse import quote

from flask import Flask, Response
from waitress import wasyncore
from waitress.server import create_server

from botcore import markup
from botcore.errors import PortUnusable
from botcore.health.document import STUCK_SECONDS, Snapshot

THREADS = 2
HEADER_LENGTH = 300
_TYPOGRAPHY = str.maketrans(
    {"‘": "'", "’": "'", "“": '"', "”": '"', "„": '"', "–": "-", "—": "-", "ß": "ss", "ø": "o", "ł": "l"}
)


def application(snapshot: Callable[[], Snapshot]) -> Flask:
    """The three pages over whatever `snapshot` answers."""
    app = Flask(__name__, static_folder=None)

    @app.get("/api/health")
    def health() -> Response:
        now = snapshot()
        document = now.document()
        headers = {"X-Release": header(now.release), "Cache-Control": "no-store"}
        if not document["connected"]:
            headers["X-Reason"] = header(now.reason)
            if not now.reason.isascii():
                headers["X-Reason*"] = extended(now.reason)
        return _json(document, 200 if document["connected"] else 503, headers)

    @app.get("/livez")
    def livez() -> Response:
        lag = snapshot().telemetry.loop_lag
        return _json({"loop_lag_seconds": round(lag, 3)}, 200 if lag < STUCK_SECONDS else 503, {})

    @app.get("/metrics")
    def metrics() -> Response:
        from botcore.health.metrics import CONTENT_TYPE, render  # 50 ms of import that nobody has to wait for at start

        return Response(render(snapshot()), content_type=CONTENT_TYPE)

    return app


def header(text: str) -> str:
    """The text as a header value that reads: one line of printable ASCII, accents dropped, cut to a sensible length."""
    plain = unicodedata.normalize("NFKD", text.translate(_TYPOGRAPHY))
    letters = (char for char in plain if not unicodedata.combining(char))
    return "".join(char if " " <= char <= "~" else " " if char < " " else "?" for char in letters)[:HEADER_LENGTH]


def extended(text: str) -> str:
    """The whole text as RFC 8187 carries it in a header."""
    return "UTF-8''" + quote(markup.one_line(text)[:HEADER_LENGTH], safe="")


def _json(body: object, status: int, headers: dict[str, str]) -> Response:
    return Response(json.dumps(body), status=status, headers=headers, content_type="application/json")


class HealthServer:
    """Listens from construction on, or raises PortUnusable; `port` is the real one when 0 was asked for."""

    def __init__(self, host: str, port: int, snapshot: Callable[[], Snapshot]) -> None:
        self._map: dict[int, object] = {}
        try:
            self._server = create_server(
                application(snapshot), map=self._map, host=host, port=port, threads=THREADS, ident=None
            )
        except (OSError, ValueError) as error:
            wasyncore.close_all(self._map, ignore_all=True)  # what it had opened before it could not listen
            raise PortUnusable(
                f"Health cannot listen on {host}:{port}: {error}.",
                hint="Stop what listens there, or set `health.host` and `health.port`.",
            ) from error
        self.port = int(self._server.effective_port)
        self._thread = threading.Thread(target=self._server.run, name="health", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening; open requests get a second."""
        # the thread may take the order from the list before it is woken for it, and has closed everything then
        with contextlib.suppress(OSError):
            self._server.trigger.pull_trigger(lambda: wasyncore.close_all(self._map, ignore_all=True))
        self._thread.join(timeout=1)
        self._server.task_dispatcher.shutdown(cancel_pending=True, timeout=1)

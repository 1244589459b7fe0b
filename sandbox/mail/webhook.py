"""An endpoint that takes chat notifications as Slack does, and keeps them.

Slack's incoming webhooks answer ``ok``, ``invalid_payload`` for a body that is no JSON object (or a form with one in
``payload``) and ``no_text`` for one without text, blocks and attachments. Outside ``/services/`` any body is taken, so
that other webhooks can be pointed here.
"""

import json
import threading
import time
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from sandbox.mail.arrivals import Arrivals, Folder, NotListening

#: Path of the Slack-shaped endpoint.
SLACK_PATH = "/services/sandbox"
#: Largest body in bytes.
LARGEST = 1_000_000
#: Seconds a client may take to send what it announced.
TIMEOUT = 10.0


@dataclass(frozen=True, slots=True)
class Post:
    """One POST. ``data`` is its JSON, None when it has none; ``arrived`` is in seconds since the epoch.

    ``status`` is what was answered; header names are in lower case.
    """

    path: str
    headers: Mapping[str, str]
    body: bytes
    data: object
    status: int
    arrived: float
    file: Path | None = None

    @property
    def text(self) -> str:
        """The message as a reader sees it: its text and that of its attachments."""
        if not isinstance(self.data, dict):
            return ""
        attachments = self.data.get("attachments")
        parts = [self.data, *(attachments if isinstance(attachments, list) else [])]
        keys = ("title", "text", "fallback")
        found = [
            part[key] for part in parts if isinstance(part, dict) for key in keys if isinstance(part.get(key), str)
        ]
        return "\n".join(dict.fromkeys(found))


def _parse(body: bytes, content_type: str) -> object:
    try:
        if content_type.startswith("application/x-www-form-urlencoded"):
            body = urllib.parse.parse_qs(body.decode()).get("payload", [""])[0].encode()
        return json.loads(body)
    except ValueError:
        return None


def _verdict(path: str, data: object) -> tuple[int, str]:
    if not path.startswith("/services/"):
        return 200, "ok"
    if not isinstance(data, dict):
        return 400, "invalid_payload"
    if not any(data.get(key) for key in ("text", "blocks", "attachments")):
        return 400, "no_text"
    return 200, "ok"


class WebhookSink:
    """An HTTP server on threads of its own. Every POST is in :attr:`messages` and, with a ``directory``, in a file."""

    def __init__(
        self,
        port: int = 0,
        *,
        host: str = "127.0.0.1",
        directory: Path | None = None,
        now: Callable[[], float] = time.time,
        heard: Callable[[Post], None] | None = None,
    ) -> None:
        self.host = host
        self._wanted = port
        self._now = now
        self._heard = heard
        self._folder = Folder(directory)
        self._arrivals: Arrivals[Post] = Arrivals("POST")
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> "WebhookSink":
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    @property
    def port(self) -> int:
        """The port it listens on. Raises NotListening."""
        if self._server is None:
            raise NotListening("The webhook sink is not running.", hint="Call start() first.")
        return self._server.server_port

    @property
    def url(self) -> str:
        """Address of the Slack-shaped endpoint. Raises NotListening."""
        return f"http://{self.host}:{self.port}{SLACK_PATH}"

    @property
    def messages(self) -> list[Post]:
        """What has arrived, oldest first."""
        return self._arrivals.all()

    def wait_for(self, predicate: Callable[[Post], bool], deadline: float = 60.0) -> Post:
        """The first POST that satisfies ``predicate``, arrived already or within ``deadline`` seconds.

        Raises NothingArrived.
        """
        return self._arrivals.wait_for(predicate, deadline)

    def start(self) -> None:
        """Listen. Raises OSError when the port is taken."""
        if self._server is not None:
            return
        sink = self

        class Handler(_Handler):
            take = staticmethod(sink._take)

        self._server = ThreadingHTTPServer((self.host, self._wanted), Handler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="webhook-sink", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Stop listening; what has arrived stays."""
        if self._server is None or self._thread is None:
            return
        self._server.shutdown()
        self._thread.join(TIMEOUT)
        self._server.server_close()
        self._server = self._thread = None

    def _take(self, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, str]:
        data = _parse(body, headers.get("content-type", ""))
        status, answer = _verdict(path, data)
        suffix = ".json" if data is not None else ".txt"
        file = self._folder.write(f"post{path}", suffix, body)
        post = Post(path, headers, body, data, status, arrived=self._now(), file=file)
        self._arrivals.add(post)
        if self._heard is not None:
            self._heard(post)
        return status, answer


class _Handler(BaseHTTPRequestHandler):
    take: Callable[[str, Mapping[str, str], bytes], tuple[int, str]]
    timeout = TIMEOUT

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            self._answer(411, "length required")
        elif int(length) > LARGEST:
            self._answer(413, "too large")
        else:
            headers = {name.lower(): value for name, value in self.headers.items()}
            self._answer(*self.take(self.path, headers, self.rfile.read(int(length))))

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: what arrives is kept, and stderr belongs to whoever started the sink."""

    def _answer(self, status: int, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

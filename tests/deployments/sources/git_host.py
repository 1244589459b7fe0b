"""A git host on loopback: a real repository over real HTTP, and webhooks as GitHub, GitLab and Gitea sign them."""

import base64
import hashlib
import hmac
import json
import shutil
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

from tests.engine.artifacts.projects import commit_all, git
from tests.fixtures.records import EXAMPLE

TOKEN = "glpat-only-for-reading"


class _Files(SimpleHTTPRequestHandler):
    """The dumb protocol of git, which is files; `private` ones are for who has the token."""

    def do_GET(self) -> None:
        pair = base64.b64encode(f"oauth2:{TOKEN}".encode()).decode()
        if self.path.startswith("/acme/private") and self.headers.get("Authorization") != f"Basic {pair}":
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.end_headers()
            return
        if self.path.startswith("/acme/moved"):
            self.send_response(302)
            self.send_header("Location", self.path.replace("/acme/moved", "/acme/dice"))
            self.end_headers()
            return
        super().do_GET()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@dataclass
class GitHost:
    """`url` is where it answers; `work` is a clone that people push from."""

    root: Path
    url: str = ""

    @property
    def work(self) -> Path:
        return self.root / "work"

    def repository(self, name: str = "acme/dice") -> str:
        """Its address."""
        return f"{self.url}/{name}.git"

    def push(self, said: str, *, ref: str = "refs/heads/main", version: str = "") -> str:
        """Change the bot, commit, and push; the commit."""
        if version:
            (self.work / "VERSION").write_text(f"{version}\n")
        program = self.work / "dicebot" / "__main__.py"
        program.write_text(f"{program.read_text()}\n# {said}\n")
        commit = commit_all(self.work, said)
        self.publish(ref)
        return commit

    def publish(self, ref: str, what: str = "HEAD") -> None:
        """Push what there is, to every repository of the host."""
        for name in ("dice", "private"):
            there = self.root / "www" / "acme" / f"{name}.git"
            git(self.work, "push", "--quiet", "--force", str(there), f"{what}:{ref}")
            git(there, "update-server-info")


@contextmanager
def git_host(root: Path) -> Iterator[GitHost]:
    """Running while the block lasts."""
    host = GitHost(root)
    for name in ("dice", "private"):
        there = root / "www" / "acme" / f"{name}.git"
        there.mkdir(parents=True)
        git(there, "init", "--quiet", "--bare", "--initial-branch=main")
    shutil.copytree(EXAMPLE, host.work)
    commit_all(host.work, "The bot")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Files, directory=str(root / "www")))
    host.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    host.publish("refs/heads/main")
    try:
        yield host
    finally:
        server.shutdown()
        server.server_close()


def said_of_push(kind: str, commit: str, *, ref: str = "refs/heads/main", of: str = "acme/dice") -> dict[str, Any]:
    """The body of a push, as far as anybody reads it, with some of what nobody does."""
    if kind == "gitlab":
        project = {"path_with_namespace": of, "git_http_url": "https://elsewhere.invalid/x.git"}
        return {"object_kind": "push", "ref": ref, "after": commit, "user_username": "alice", "project": project}
    repository = {"id": 7, "full_name": of, "clone_url": "https://elsewhere.invalid/x.git"}
    sender = {"id": 1001, "login": "alice-gh"}
    return {"ref": ref, "before": "0" * 40, "after": commit, "repository": repository, "sender": sender, "commits": []}


def signed(kind: str, secret: str, body: bytes, **changes: str) -> dict[str, str]:
    """The headers of a delivery; `changes` replace them, and an empty one is left out."""
    proof = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    number = str(uuid.uuid4())
    headers = {
        "github": {"X-GitHub-Event": "push", "X-GitHub-Delivery": number, "X-Hub-Signature-256": f"sha256={proof}"},
        "gitlab": {"X-Gitlab-Event": "Push Hook", "X-Gitlab-Event-UUID": number, "X-Gitlab-Token": secret},
        "gitea": {"X-Gitea-Event": "push", "X-Gitea-Delivery": number, "X-Gitea-Signature": proof},
    }[kind]
    return {name: value for name, value in {**headers, **changes}.items() if value}


def deliver(address: str, headers: Mapping[str, str | bytes], body: bytes) -> httpx.Response:
    """Over HTTP, as the host does; a header may be bytes that are no text."""
    given = [(name.encode(), value if isinstance(value, bytes) else value.encode()) for name, value in headers.items()]
    return httpx.post(address, content=body, headers=[(b"Content-Type", b"application/json"), *given], timeout=30)


def body_of(document: dict[str, Any]) -> bytes:
    return json.dumps(document).encode()

"""A git host on loopback: a real repository over real HTTP, and webhooks as GitHub, GitLab and Gitea sign them."""

import hashlib
import hmac
import json
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.deployments.sources import git_files
from tests.deployments.sources.git_files import TOKEN
from tests.engine.artifacts.projects import commit_all, git
from tests.fixtures.records import EXAMPLE

__all__ = ["TOKEN"]
ROOT = Path(__file__).resolve().parents[3]


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
    serving = [sys.executable, "-m", git_files.__name__, str(root / "www")]
    with subprocess.Popen(serving, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            host.url = f"http://127.0.0.1:{int(server.stdout.readline())}"
            host.publish("refs/heads/main")
            yield host
        finally:
            server.kill()


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

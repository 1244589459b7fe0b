"""A stand-in for the part of GitHub's REST API that the workflows use, in the shape its documentation gives."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.workflows.jobs import REPOSITORY, RUN_ID, TOKEN


@dataclass
class GitHub:
    """What GitHub knows about the repository, its environments, one run and its deployments."""

    actor: str = "alice"
    triggering_actor: str = "alice"
    attempt: int = 1
    reviewers: list[str] = field(default_factory=lambda: ["alice", "bob"])
    prevent_self_review: bool = True
    rule_without_reviewers: bool = False
    reviews: list[dict[str, Any]] = field(default_factory=list)
    deployments: list[dict[str, Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    url: str = ""

    def review(self, login: str, state: str = "approved", comment: str = "", environment: str = "production") -> None:
        """Somebody reviewed the run."""
        self.reviews.append(
            {
                "state": state,
                "comment": comment,
                "user": {"login": login, "id": len(login), "type": "User"},
                "environments": [{"id": 161088068, "name": environment}],
            }
        )

    def states(self, environment: str) -> list[list[str]]:
        """For each deployment of an environment the states it went through."""
        return [
            [status["state"] for status in one["statuses"]]
            for one in self.deployments
            if one["environment"] == environment
        ]

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: Any) -> tuple[int, Any]:
        """Status and document."""
        self.asked.append(f"{method} {path}")
        prefix = f"/repos/{REPOSITORY}"
        if not path.startswith(prefix):
            return 404, {"message": "Not Found"}
        match method, path.removeprefix(prefix).strip("/").split("/"):
            case "GET", ["environments", name]:
                return 200, self._environment(name)
            case "GET", ["actions", "runs", run] if run == RUN_ID:
                return 200, {
                    "id": int(run),
                    "run_attempt": self.attempt,
                    "actor": {"login": self.actor},
                    "triggering_actor": {"login": self.triggering_actor},
                }
            case "GET", ["actions", "runs", run, "approvals"] if run == RUN_ID:
                return 200, self.reviews
            case "POST", ["deployments"]:
                self.deployments.append({"id": len(self.deployments) + 1, "statuses": [], **body})
                return 201, self.deployments[-1]
            case "GET", ["deployments"]:
                wanted = [one for one in self.deployments if one["environment"] == query["environment"][0]]
                return 200, list(reversed(wanted))
            case "POST", ["deployments", number, "statuses"]:
                self.deployments[int(number) - 1]["statuses"].append(body)
                return 201, body
            case "GET", ["deployments", number, "statuses"]:
                return 200, list(reversed(self.deployments[int(number) - 1]["statuses"]))
        return 404, {"message": "Not Found"}

    def _environment(self, name: str) -> dict[str, Any]:
        rules: list[dict[str, Any]] = [{"id": 3736, "type": "branch_policy"}]
        if self.reviewers or self.rule_without_reviewers:
            rules.append(
                {
                    "id": 3755,
                    "type": "required_reviewers",
                    "prevent_self_review": self.prevent_self_review,
                    "reviewers": [{"type": "User", "reviewer": {"login": login}} for login in self.reviewers],
                }
            )
        return {"id": 161088068, "name": name, "protection_rules": rules}


@contextmanager
def serving(github: GitHub) -> Iterator[GitHub]:
    """The API on this machine; `url` is its base."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(None)

        def do_POST(self) -> None:
            self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def _answer(self, body: Any) -> None:
            parts = urlsplit(self.path)
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                status, document = 401, {"message": "Bad credentials"}
            else:
                status, document = github.answer(self.command, parts.path, parse_qs(parts.query), body)
            content = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: what was asked is kept in `asked`."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    github.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield github
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

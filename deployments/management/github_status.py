"""Telling GitHub how a deployment stands that a portal carries out: GitHub's deployments and their statuses.

Where a job deploys by itself, GitHub derives the status from the job. Where a portal does, the job is over before
somebody approves; so a request is reported as pending, and every later run first reports how older requests ended.

POST /repos/{owner}/{repo}/deployments                 ref, environment, payload, required_contexts: []
POST /repos/{owner}/{repo}/deployments/{id}/statuses   state, log_url, description
GET  /repos/{owner}/{repo}/deployments?environment=…   the newest first
GET  /repos/{owner}/{repo}/deployments/{id}/statuses   the newest first

Standard library alone. Failing to tell GitHub never changes how a deployment ends: it is said, and that is all.
"""

import json
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from deployments.management.json_client import HttpFailure, JsonClient

_STATES = {
    "awaiting_approval": "pending",
    "queued": "queued",
    "running": "in_progress",
    "verifying": "in_progress",
    "succeeded": "success",
    "failed": "failure",
    "rolled_back": "failure",
    "interrupted": "error",
    "rejected": "inactive",
    "expired": "inactive",
    "superseded": "inactive",
    "cancelled": "inactive",
}
_OPEN = {"pending", "queued", "in_progress"}
_LOOKED_AT = 10
_LONGEST = 140  # characters of a description (GitHub's documentation)


@dataclass(frozen=True)
class GitHubDeployments:
    """The deployments of one repository on GitHub."""

    client: JsonClient = field(repr=False)
    ref: str

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "GitHubDeployments | None":
        """Those of the workflow's repository; None where no token for it was given."""
        token, repository = environ.get("GITHUB_TOKEN", ""), environ.get("GITHUB_REPOSITORY", "")
        if not token or not repository:
            return None
        base = environ.get("GITHUB_API_URL", "https://api.github.com").rstrip("/")
        headers = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
        client = JsonClient(f"{base}/repos/{urllib.parse.quote(repository)}", token, headers)
        return cls(client, environ.get("GITHUB_SHA", ""))

    def begin(self, deployment: Mapping[str, Any], url: str) -> int | None:
        """Make a deployment there for one of the portal's, with its present status; its id, or None."""
        try:
            made = self.client.post(
                "/deployments",
                {
                    "ref": self.ref,
                    "environment": deployment["environment"],
                    "auto_merge": False,
                    "required_contexts": [],
                    "description": f"{deployment['release']} through the portal"[:_LONGEST],
                    "payload": json.dumps({"portal_deployment": deployment["number"], "url": url}),
                },
            )
            number = int(made["id"])
            self.report(number, deployment, url)
            return number
        except (HttpFailure, KeyError, TypeError, ValueError):
            return None

    def report(self, number: int, deployment: Mapping[str, Any], url: str) -> bool:
        """Report the present status of the portal's deployment; whether GitHub took it."""
        status = {
            "state": _STATES.get(str(deployment["status"]), "error"),
            "log_url": url,
            "description": str(deployment["sentence"] or deployment["status"])[:_LONGEST],
        }
        try:
            self.client.post(f"/deployments/{number}/statuses", status)
        except HttpFailure:
            return False
        return True

    def unfinished(self, environment: str) -> list[tuple[int, int]]:
        """Deployments of an environment whose last status was not their end: GitHub's id and the portal's number."""
        try:
            query = urllib.parse.urlencode({"environment": environment, "per_page": _LOOKED_AT})
            rows = self.client.get(f"/deployments?{query}")
            return [found for row in rows if (found := self._unfinished(row)) is not None]
        except (HttpFailure, KeyError, TypeError, ValueError, AttributeError):
            return []

    def _unfinished(self, row: Mapping[str, Any]) -> tuple[int, int] | None:
        payload = row.get("payload") or {}
        payload = json.loads(payload) if isinstance(payload, str) else payload
        if "portal_deployment" not in payload:
            return None
        statuses = self.client.get(f"/deployments/{int(row['id'])}/statuses?per_page=1")
        if statuses and statuses[0]["state"] not in _OPEN:
            return None
        return int(row["id"]), int(payload["portal_deployment"])

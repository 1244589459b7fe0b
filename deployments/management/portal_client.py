"""Asking a portal for a deployment over its API, with nothing but Python: what a workflow's runner uses.

    PORTAL_URL=https://… PORTAL_TOKEN=… python3 -m deployments.management.portal_client test --artifact FILE --sha256 D
    PORTAL_URL=https://… PORTAL_TOKEN=… python3 -m deployments.management.portal_client production --release 1.2.0

On GitHub a job that may have an identity (`id-token: write`) needs no PORTAL_TOKEN.

It follows the deployment, writes a summary for the job, tells GitHub (where GITHUB_TOKEN allows it), and exits with the
codes of the command line: a request that waits for an approval ends at once with 3.
"""

import argparse
import os
import secrets
import sys
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deployments.core.texts import spoken
from deployments.management.github_status import GitHubDeployments
from deployments.management.json_client import HttpFailure, JsonClient
from deployments.management.summary import append_summary, deployment_summary, failure_summary
from deployments.management.texts import one_line
from deployments.management.workflow_token import token_for
from engine.artifacts.git import repository_at
from engine.errors import PortalError

WAIT_SECONDS = 5
TIMEOUT_SECONDS = 120.0
"""How long the portal may be away while it is followed: it may be deploying itself."""
FAILED, USAGE, BUSY = 1, 2, 8
_CHANGE_LOG = 20000  # characters that the portal takes
_USAGE = {400, 404, 413, 422}


class Portal:
    """A portal's API."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url.rstrip("/")
        self._client = JsonClient(f"{self.url}/api/v1", token)

    def page(self, number: int) -> str:
        """Where people look at a deployment."""
        return f"{self.url}/deployments/{number}/"

    def upload(self, artifact: Path, sha256: str, environ: Mapping[str, str]) -> str:
        """Bring an artifact there; the release's identifier. Raises HttpFailure."""
        fields = {"sha256": sha256, "ref": environ.get("GITHUB_REF_NAME", "")[:250]}
        if commit := environ.get("GITHUB_SHA", ""):
            fields["commit"] = commit
            fields["change_log"] = _subjects(self._commit_before(artifact.name), commit)
        body, content_type = multipart(fields, artifact.name, artifact.read_bytes())
        return str(self._client.post_body("/releases", body, content_type)["identifier"])

    def _commit_before(self, filename: str) -> str:
        """The commit of the newest release of the artifact's application; empty when there is none."""
        rows = self._client.get("/releases?limit=20")["items"]
        return next((row["commit"] for row in rows if filename.startswith(f"{row['name']}-") and row["commit"]), "")

    def request(self, environment: str, release: str, reason: str) -> dict[str, Any]:
        """Ask for a deployment; sent again, it is asked for once. Raises HttpFailure."""
        wanted = {"environment": environment, "release": release, "reason": reason}
        key = {"Idempotency-Key": str(uuid.uuid4())}
        for pause in (1.0, 5.0, None):
            try:
                return dict(self._client.post("/deployments", wanted, key))
            except HttpFailure as failure:
                if (failure.status and failure.status < 500) or pause is None:
                    raise
                time.sleep(pause)
        raise AssertionError("unreachable")

    def deployment(self, number: int, *, wait: int = 0) -> dict[str, Any]:
        """A deployment as it is, or within `wait` seconds was going to be. Raises HttpFailure."""
        return dict(self._client.get(f"/deployments/{number}?wait={wait}"))

    def lines(self, number: int, after: int) -> list[dict[str, Any]]:
        """Log lines after a number. Raises HttpFailure."""
        return list(self._client.get(f"/deployments/{number}/log?after={after}")["lines"])


class Following:
    """Prints what a deployment does, until it ends or waits for a person."""

    def __init__(self, portal: Portal, number: int) -> None:
        self._portal = portal
        self._number = number
        self._last_line = 0
        self._status = ""

    def to_the_end(self) -> dict[str, Any]:
        """The deployment as it ended, or waits for approval. Raises HttpFailure when the portal stays away."""
        away_since: float | None = None
        while True:
            try:
                document = self._portal.deployment(self._number, wait=WAIT_SECONDS)
                self._show(document)
                away_since = None
            except HttpFailure as failure:
                away_since = away_since or time.monotonic()
                if 0 < failure.status < 500 and failure.status != 429:
                    raise
                if time.monotonic() - away_since > TIMEOUT_SECONDS:
                    raise
                time.sleep(1.0)
                continue
            if document["ended"] or document["status"] == "awaiting_approval":
                return document

    def _show(self, document: Mapping[str, Any]) -> None:
        for line in self._portal.lines(self._number, self._last_line):
            self._last_line = line["number"]
            say(f"  {line['server'] or 'portal'}  {line['text']}")
        if document["status"] != self._status:
            self._status = document["status"]
            say(f"#{self._number} {document['release']} → {document['environment']}: {self._status}")


def main(argv: list[str] | None = None, environ: Mapping[str, str] = os.environ) -> int:
    """Ask, follow, tell; returns the exit code."""
    parser = argparse.ArgumentParser(prog="portal_client", description="Ask a portal for a deployment.")
    parser.add_argument("environment")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--artifact", type=Path, metavar="FILE", help="upload this artifact and deploy it")
    what.add_argument("--release", help="identifier or version of a release that is there")
    parser.add_argument("--sha256", metavar="D", help="of the artifact, as its builder gave it")
    parser.add_argument("--reason", default="", help="why; shown to whoever approves")
    options = parser.parse_args(argv)
    if options.artifact and not options.sha256:
        parser.error("--artifact needs --sha256")
    url = environ.get("PORTAL_URL", "")
    try:
        token = token_for(url, options.environment, environ)
        if not url or not token:
            raise ValueError(
                "PORTAL_URL and PORTAL_TOKEN must be set; on GitHub a job with `id-token: write` needs no PORTAL_TOKEN."
            )
        return _deploy(Portal(url, token), options, environ)
    except HttpFailure as failure:
        return _told(f"Nothing is known to be deployed to {options.environment}", failure, _code_of(failure))
    except (ValueError, OSError) as error:
        return _told(f"Nothing was deployed to {options.environment}", error, USAGE)


def _deploy(portal: Portal, options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    github = GitHubDeployments.from_environment(environ)
    if github is not None:
        _catch_up(github, portal, options.environment)
    release = options.release or portal.upload(options.artifact, options.sha256, environ)
    asked = portal.request(options.environment, release, options.reason)
    number = int(asked["number"])
    page = portal.page(number)
    say(f"Asked for {asked['release']} on {asked['environment']}: {page}")
    mark = github.begin(asked, page) if github is not None else None
    ended = Following(portal, number).to_the_end()
    if github is not None and (mark is None or not github.report(mark, ended, page)):
        say("GitHub could not be told how the deployment stands; that changes nothing about it.")
    code = int(ended["exit_code"])
    say(_verdict(ended, page))
    append_summary(deployment_summary(_document(ended), {"the portal's page": page}), environ)
    if path := environ.get("GITHUB_OUTPUT", ""):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(f"release={ended['release']}\ncode={code}\n")
    return code


def _subjects(since: str, until: str) -> str:
    """Subjects of the commits between two releases, from the repository we stand in; empty when it does not tell."""
    try:
        repository = repository_at(Path.cwd())
    except PortalError:
        return ""
    return "\n".join(repository.subjects(since, until))[:_CHANGE_LOG] if repository else ""


def _catch_up(github: GitHubDeployments, portal: Portal, environment: str) -> None:
    for mark, number in github.unfinished(environment):
        try:
            github.report(mark, portal.deployment(number), portal.page(number))
        except HttpFailure:
            continue  # another portal's, or one whose database was restored


def _verdict(ended: Mapping[str, Any], page: str) -> str:
    if ended["status"] == "awaiting_approval":
        return f"It waits for approval by somebody other than {ended['requested_by']}: {page}"
    took = f" ({spoken(ended['seconds'])})" if ended["seconds"] is not None else ""
    return f"{ended['status']}{took}: {ended['sentence']}"


def _document(ended: Mapping[str, Any]) -> dict[str, Any]:
    """The API's document in the form of the command line's."""
    approved = [one["actor"] for one in ended["approvals"] if one["decision"] == "approved"]
    targets = [
        {
            "server": target["server"],
            "from": target["base_release"],
            "sentence": target["sentence"],
            "steps": {step["name"]: step["seconds"] for step in target["steps"]},
        }
        for target in ended["targets"]
    ]
    return {**ended, "approved_by": approved, "targets": targets}


def _code_of(failure: HttpFailure) -> int:
    if failure.problem.get("reason") == "environment_busy":
        return BUSY
    return USAGE if failure.status in _USAGE else FAILED


def _told(what: str, error: Exception, code: int) -> int:
    print(one_line(str(error)), file=sys.stderr)  # noqa: T201  (a program)
    append_summary(failure_summary(what, str(error)))
    return code


def multipart(fields: Mapping[str, str], filename: str, content: bytes) -> tuple[bytes, str]:
    """A form with a file named `artifact` (RFC 7578); the body and its content type."""
    boundary = secrets.token_hex(16)
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    safe = "".join(character for character in filename if character.isalnum() or character in "._-")
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="artifact"; filename="{safe}"\r\n'
    parts.append(f"{head}Content-Type: application/x-tar\r\n\r\n".encode() + content + b"\r\n")
    return b"".join(parts) + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def say(line: str) -> None:
    """Print one line, whatever is in it."""
    print(line[: len(line) - len(line.lstrip(" "))] + one_line(line), flush=True)  # noqa: T201  (a program)


if __name__ == "__main__":
    sys.exit(main())

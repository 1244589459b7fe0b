"""Who reviewed a workflow run on GitHub, asked of GitHub itself and never assumed.

GitHub holds a job that names an environment with required reviewers until one of them has approved it. Whether that is
so is read from its REST API (version 2022-11-28), with the job's own token and the permission `actions: read`:

GET /repos/{owner}/{repo}/environments/{name}          protection_rules: type "required_reviewers"
GET /repos/{owner}/{repo}/actions/runs/{id}            actor, triggering_actor, run_attempt
GET /repos/{owner}/{repo}/actions/runs/{id}/approvals  state, user, comment, environments

GitHubUnreachable           GitHub did not answer as documented (try again)
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import httpx

from deployments.core.texts import LIMIT, one_line
from deployments.models.encryption import SecretText
from engine.errors import InvalidRequest, NotAllowed, NotApproved, PortalError

API_VERSION = "2022-11-28"
TIMEOUT_SECONDS = 20.0
_REPOSITORY = re.compile(r"[A-Za-z0-9._-]+/[A-Za-z0-9._-]+")
_LOGIN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]|\[bot\]){0,60}")


class GitHubUnreachable(PortalError):
    """GitHub did not answer, or not as its documentation says."""

    reason = "github_unreachable"
    permanent = False


@dataclass(frozen=True)
class WorkflowRun:
    """The run this process is part of, as GitHub's environment variables name it."""

    repository: str
    number: int
    api_url: str
    server_url: str
    token: SecretText = field(repr=False)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "WorkflowRun | None":
        """The run, or None outside GitHub. Raises InvalidRequest for variables that cannot be GitHub's."""
        number = environ.get("GITHUB_RUN_ID", "")
        if not number:
            return None
        repository = environ.get("GITHUB_REPOSITORY", "")
        if not number.isdecimal() or not _REPOSITORY.fullmatch(repository):
            raise InvalidRequest("GITHUB_RUN_ID and GITHUB_REPOSITORY do not name a workflow run.")
        return cls(
            repository=repository,
            number=int(number),
            api_url=environ.get("GITHUB_API_URL", "https://api.github.com").rstrip("/"),
            server_url=environ.get("GITHUB_SERVER_URL", "https://github.com").rstrip("/"),
            token=SecretText(environ.get("GITHUB_TOKEN", "")),
        )

    @property
    def url(self) -> str:
        """Its page."""
        return f"{self.server_url}/{self.repository}/actions/runs/{self.number}"


@dataclass(frozen=True)
class Review:
    """Who started the run, and who approved that it may reach the environment: login names on GitHub."""

    requester: str
    reviewer: str
    comment: str


def requester_of(run: WorkflowRun) -> str:
    """The login that started the run. Raises GitHubUnreachable."""
    with _client(run) as client:
        return _requesters(_get(client, f"/actions/runs/{run.number}"))[-1]


def review_of(run: WorkflowRun, environment: str) -> Review:
    """The review that let this run reach `environment`.

    Raises NotAllowed when the environment asks for no reviewers, when only whoever started the run approved it, or for
    a run that was started again (its approvals may be of the attempt before); NotApproved when it was rejected or
    nobody reviewed it; GitHubUnreachable.
    """
    with _client(run) as client:
        _refuse_unprotected(_get(client, f"/environments/{quote(environment, safe='')}"), environment)
        document = _get(client, f"/actions/runs/{run.number}")
        reviews = _get(client, f"/actions/runs/{run.number}/approvals")
    requesters = _requesters(document)
    if _field(document, "run_attempt") != 1:
        raise NotAllowed(
            "This run was started again, and GitHub does not tell for which attempt it was approved.",
            hint="Start a new run: it is reviewed anew.",
            reason="run_started_again",
        )
    ours = [one for one in _listed(reviews) if environment in _environments(one)]
    return _decide(ours, requesters, environment)


def _decide(reviews: list[dict[str, Any]], requesters: list[str], environment: str) -> Review:
    for one in reviews:
        if one.get("state") == "rejected":
            by, why = _login(one.get("user")), one_line(str(one.get("comment", "")))
            raise NotApproved(f"github:{by} rejected it: {why or 'no comment'}.", reason="rejected")
    approved = [one for one in reviews if one.get("state") == "approved"]
    for one in approved:
        reviewer = _login(one.get("user"))
        if reviewer.lower() not in {name.lower() for name in requesters}:
            return Review(requesters[-1], reviewer, one_line(str(one.get("comment") or ""))[:LIMIT])
    if approved:
        raise NotAllowed(
            "Whoever started the run cannot be the one who approves it, and nobody else did.",
            hint=f"Let another reviewer of the environment {environment} approve a new run, and set 'Prevent "
            "self-review' there.",
            reason="four_eyes",
        )
    raise NotApproved(
        f"Nobody reviewed this run for {environment}.",
        hint="An administrator may have skipped the environment's protection; that is no approval. Start a new run.",
        reason="not_reviewed",
    )


def _refuse_unprotected(document: Any, environment: str) -> None:
    rules = document.get("protection_rules", []) if isinstance(document, dict) else []
    if not any(rule.get("type") == "required_reviewers" and rule.get("reviewers") for rule in rules):
        raise NotAllowed(
            f"The environment {environment} of the repository asks for no review, so nothing is deployed there.",
            hint="Settings → Environments: require reviewers, and set 'Prevent self-review' (docs/github.md).",
            reason="no_required_reviewers",
        )


def _requesters(document: Any) -> list[str]:
    """Everybody who stands behind the run; last whoever triggered it."""
    logins = [_login(_field(document, key)) for key in ("actor", "triggering_actor")]
    return list(dict.fromkeys(logins))


def _environments(review: dict[str, Any]) -> set[str]:
    return {str(one.get("name")) for one in review.get("environments", []) if isinstance(one, dict)}


def _field(document: Any, key: str) -> Any:
    if not isinstance(document, dict) or key not in document:
        raise GitHubUnreachable(f"GitHub's answer has no {key!r}.", hint="See https://www.githubstatus.com.")
    return document[key]


def _listed(document: Any) -> list[dict[str, Any]]:
    if not isinstance(document, list):
        raise GitHubUnreachable("GitHub's answer about reviews is no list.", hint="See https://www.githubstatus.com.")
    return [one for one in document if isinstance(one, dict)]


def _login(user: Any) -> str:
    login = str(_field(user, "login"))
    if not _LOGIN.fullmatch(login):
        raise GitHubUnreachable("GitHub named a user whose login is none.")
    return login


def _client(run: WorkflowRun) -> httpx.Client:
    headers = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": API_VERSION}
    if run.token:
        headers["Authorization"] = f"Bearer {run.token}"
    return httpx.Client(base_url=f"{run.api_url}/repos/{run.repository}", headers=headers, timeout=TIMEOUT_SECONDS)


def _get(client: httpx.Client, path: str) -> Any:
    try:
        response = client.get(path)
        response.raise_for_status()
        return response.json()
    except httpx.HTTPStatusError as error:
        raise GitHubUnreachable(
            f"GitHub answered {error.response.status_code} to {path}.",
            hint="The job needs the permission actions: read, and GITHUB_TOKEN.",
        ) from error
    except (httpx.HTTPError, ValueError) as error:
        raise GitHubUnreachable(
            f"GitHub could not be asked about the review ({type(error).__name__}).", hint="Run the workflow again."
        ) from error

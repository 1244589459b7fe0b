"""Who reviewed a run, asked of a stand-in for GitHub's documented API."""

from collections.abc import Callable, Iterator

import pytest

from deployments.github.reviews import GitHubUnreachable, WorkflowRun, requester_of, review_of
from deployments.models.encryption import SecretText
from engine.errors import InvalidRequest, NotAllowed, NotApproved
from tests.workflows.github import GitHub, serving
from tests.workflows.jobs import REPOSITORY, RUN_ID, TOKEN

VARIABLES = {"GITHUB_RUN_ID": RUN_ID, "GITHUB_REPOSITORY": REPOSITORY, "GITHUB_TOKEN": TOKEN}


@pytest.fixture
def github() -> Iterator[GitHub]:
    with serving(GitHub()) as github:
        yield github


@pytest.fixture
def run(github: GitHub) -> WorkflowRun:
    run = WorkflowRun.from_environment({**VARIABLES, "GITHUB_API_URL": github.url})
    assert run is not None
    return run


def test_the_second_person_who_approved_is_named_with_what_they_said(github: GitHub, run: WorkflowRun) -> None:
    github.review("bob", comment="read the diff")
    review = review_of(run, "production")
    assert (review.requester, review.reviewer, review.comment) == ("alice", "bob", "read the diff")


Prepare = Callable[[GitHub], None]


def started_by_somebody_else(github: GitHub) -> None:
    github.actor = "bob"
    github.review("bob")


def without_reviewers(github: GitHub) -> None:
    github.reviewers = []
    github.review("bob")


def a_rule_without_reviewers(github: GitHub) -> None:
    github.rule_without_reviewers = True
    without_reviewers(github)


def started_again(github: GitHub) -> None:
    github.attempt = 2
    github.review("bob")


@pytest.mark.parametrize(
    ("prepare", "error", "reason"),
    [
        (lambda github: None, NotApproved, "not_reviewed"),
        (lambda github: github.review("bob", environment="staging"), NotApproved, "not_reviewed"),
        (lambda github: github.review("bob", state="pending"), NotApproved, "not_reviewed"),
        (lambda github: github.review("alice"), NotAllowed, "four_eyes"),
        (lambda github: github.review("ALICE"), NotAllowed, "four_eyes"),
        (started_by_somebody_else, NotAllowed, "four_eyes"),
        (lambda github: github.review("bob", state="rejected", comment="not today"), NotApproved, "rejected"),
        (without_reviewers, NotAllowed, "no_required_reviewers"),
        (a_rule_without_reviewers, NotAllowed, "no_required_reviewers"),
        (started_again, NotAllowed, "run_started_again"),
    ],
    ids=[
        "nobody reviewed",
        "another environment was reviewed",
        "only a comment",
        "self-review",
        "self-review in other letters",
        "whoever pushed approved what somebody else started again",
        "rejected",
        "the environment has no reviewers",
        "the environment's rule names nobody",
        "a second attempt",
    ],
)
def test_what_is_no_approval_is_refused(
    github: GitHub, run: WorkflowRun, prepare: Prepare, error: type[Exception], reason: str
) -> None:
    prepare(github)
    with pytest.raises(error) as caught:
        review_of(run, "production")
    assert caught.value.reason == reason  # type: ignore[attr-defined]  # all of ours have one


def test_a_second_reviewer_counts_beside_a_self_review(github: GitHub, run: WorkflowRun) -> None:
    github.review("alice")
    github.review("bob")
    assert review_of(run, "production").reviewer == "bob"


def test_a_rejection_outweighs_an_approval(github: GitHub, run: WorkflowRun) -> None:
    github.review("bob")
    github.review("carol", state="rejected", comment="freeze")
    with pytest.raises(NotApproved, match="github:carol rejected it: freeze"):
        review_of(run, "production")


def test_whoever_triggered_the_run_is_the_requester(github: GitHub, run: WorkflowRun) -> None:
    github.triggering_actor = "dependabot[bot]"
    assert requester_of(run) == "dependabot[bot]"


def test_a_token_that_may_not_ask_says_which_permission_is_missing(github: GitHub) -> None:
    run = WorkflowRun.from_environment({**VARIABLES, "GITHUB_TOKEN": "other", "GITHUB_API_URL": github.url})
    assert run is not None
    with pytest.raises(GitHubUnreachable, match="actions: read"):
        review_of(run, "production")


def test_a_silent_github_approves_nothing() -> None:
    run = WorkflowRun(REPOSITORY, int(RUN_ID), "http://127.0.0.1:9", "https://github.com", SecretText(TOKEN))
    with pytest.raises(GitHubUnreachable):
        review_of(run, "production")


@pytest.mark.parametrize("answer", [[], {}, {"login": "../x"}, {"login": "bob\nalice"}])
def test_an_answer_that_is_not_as_documented_approves_nothing(github: GitHub, run: WorkflowRun, answer: object) -> None:
    github.review("bob")
    github.reviews[0]["user"] = answer
    with pytest.raises(GitHubUnreachable):
        review_of(run, "production")


def test_outside_a_workflow_there_is_no_run() -> None:
    assert WorkflowRun.from_environment({}) is None


@pytest.mark.parametrize("repository", ["", "octo-org", "octo-org/../x/y", "octo-org/octo repo", "a/b\n"])
def test_variables_that_name_no_repository_are_refused(repository: str) -> None:
    with pytest.raises(InvalidRequest):
        WorkflowRun.from_environment({**VARIABLES, "GITHUB_REPOSITORY": repository})


def test_the_token_is_not_in_what_a_run_shows(run: WorkflowRun) -> None:
    assert TOKEN not in repr(run)

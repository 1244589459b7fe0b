"""The version that is asked for production: a tag has it, and its commit has it too."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.workflows.jobs import Event, JobResult, Runner
from tests.workflows.repositories import Repository


@pytest.fixture
def asked(repository: Repository, tmp_path: Path) -> Callable[[Event], JobResult]:
    """What becomes of the first job of `prod-deploy.yml`."""
    work = tmp_path / "work"
    work.mkdir()
    runner = Runner(repository.path, work, Path(sys.executable), variables={"PORTAL_URL": "https://ops.example.org"})
    return lambda event: runner.run("prod-deploy.yml", event, only=("version",))["version"]


def test_a_version_that_no_tag_has_is_told_with_what_to_do(asked: Callable[[Event], JobResult]) -> None:
    job = asked(Event(ref_name="main", inputs={"version": "1.0.0", "reason": "now"}))
    assert (job.status, job.code) == ("failure", 2), job.output
    (line,) = [line for line in job.output.splitlines() if line.startswith("::error")]
    assert "The tag v1.0.0 cannot be checked out" in line
    assert "git tag v1.0.0 COMMIT && git push origin v1.0.0" in line


def test_what_the_sentence_says_helps(asked: Callable[[Event], JobResult], repository: Repository) -> None:
    repository.tag("v1.0.0")
    for event in (Event(ref_name="main", inputs={"version": "1.0.0", "reason": "now"}), Event(ref_name="v1.0.0")):
        job = asked(event)
        assert (job.status, job.outputs) == ("success", {"version": "1.0.0"}), job.output


def test_a_branch_without_a_version_is_none(asked: Callable[[Event], JobResult]) -> None:
    job = asked(Event(ref_name="main"))
    assert (job.status, job.code) == ("failure", 2)
    assert "no version like 1.4.0" in job.output

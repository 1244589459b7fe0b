"""Deploying through a portal: its API, its workers, its approvals, and real servers."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.fleet import Provisioned
from tests.workflows.conftest import Built
from tests.workflows.github import GitHub
from tests.workflows.jobs import Event, Runner
from tests.workflows.portals import Portal
from tests.workflows.repositories import Repository
from tests.workflows.servers import journal, runs, version_on

pytestmark = [pytest.mark.hosts]


@pytest.fixture
def portal(bare_servers: Provisioned, tmp_path: Path, migrated: Path) -> Iterator[Portal]:
    """A portal that knows both servers, as `olga` asks and `anna` approves."""
    portal = Portal(tmp_path / "portal")
    portal.state.mkdir()
    portal.prepare(bare_servers, migrated)
    with portal.running():
        yield portal


@pytest.fixture
def asking(runner: Runner, built: Built, portal: Portal) -> Runner:
    """The runner, configured to go through the portal; version 1.0.0 is built."""
    runner.variables = {"PORTAL_URL": portal.url}
    runner.secrets = {"portal": {"PORTAL_TOKEN": portal.tokens["olga"]}}
    runner.artifacts["release"] = built.artifact
    return runner


def test_production_waits_without_a_job_is_approved_and_succeeds(
    asking: Runner, built: Built, repository: Repository, portal: Portal, github: GitHub, bare_servers: Provisioned
) -> None:
    test, production = bare_servers.machines
    hostile = "Dice `id` $(touch {0}) \"; touch {0}; '".format("/tmp/workflow-reached-a-shell")
    jobs = asking.run("test-deploy.yml", Event(message=f"{hostile}\nmore"), done={"build": built.job})
    job = jobs["through-portal"]
    assert job.status == "success", job.output
    assert [jobs[name].status for name in ("test-from-runner", "production-from-runner")] == ["skipped", "skipped"]
    assert version_on(test) == "1.0.0"
    assert journal(production) == []
    assert "::notice title=Waiting::" in job.output
    assert "⏳ Awaiting approval" in job.summary
    assert f"{portal.url}/deployments/2/" in job.summary
    assert runs(test)[0]["plan"]["reason"] == hostile
    assert github.states("test") == [["queued", "success"]]
    assert github.states("production") == [["pending", "pending"]]

    status, asked = portal.api("POST", "/deployments/2/approvals", "olga", {"decision": "approved"})
    assert (status, asked["reason"]) == (403, "not_allowed")
    status, _ = portal.api("POST", "/deployments/2/approvals", "anna", {"decision": "approved", "comment": "go"})
    assert status == 200
    assert portal.wait_for(2, "succeeded", "failed", "rolled_back")["status"] == "succeeded"
    assert version_on(production) == "1.0.0"

    repository.tag("v1.0.0")
    later = asking.run("prod-deploy.yml", Event(inputs={"version": "1.0.0", "reason": "once more"}))
    assert later["through-portal"].status == "success", later["through-portal"].output
    assert github.states("production") == [["pending", "pending", "success"], ["pending", "pending"]]
    assert not Path("/tmp/workflow-reached-a-shell").exists()


def test_a_red_verification_fails_the_job_with_code_5_after_the_revert(
    asking: Runner, repository: Repository, portal: Portal, github: GitHub, bare_servers: Provisioned
) -> None:
    asking.artifacts.clear()
    edits = {
        "dicebot/__main__.py": ('"version": VERSION', '"version": "0.0.0"'),
        "deploy.toml": ('connected = "ready"', 'connected = "ready"\ntimeout = 2'),
    }
    repository.commit("1.3.0", edits)
    jobs = asking.run("test-deploy.yml", Event())
    job = jobs["through-portal"]
    assert (job.status, job.code) == ("failure", 5), job.output
    assert [step.name for step in job.steps] == ["Deploy to test"]
    assert version_on(bare_servers.machines[0]) == ""
    assert github.states("test") == [["queued", "failure"]]
    assert portal.api("GET", "/deployments/1", "olga")[1]["status"] == "rolled_back"

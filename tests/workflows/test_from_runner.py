"""Deploying straight from the runner, to real servers."""

import json
from pathlib import Path

import pytest

from tests.fixtures.fleet import Provisioned
from tests.workflows.argv import command_lines
from tests.workflows.conftest import Built
from tests.workflows.github import GitHub
from tests.workflows.jobs import Event, Runner
from tests.workflows.portals import Portal
from tests.workflows.repositories import Repository
from tests.workflows.servers import journal, logins, runs, version_on

pytestmark = [pytest.mark.hosts]

RUN_PAGE = "https://github.com/octo-org/octo-repo/actions/runs/"
WRONG_VERSION = {
    "dicebot/__main__.py": ('"version": VERSION', '"version": "0.0.0"'),
    "deploy.toml": ('connected = "ready"', 'connected = "ready"\ntimeout = 2'),
}


def test_a_push_is_built_once_deployed_to_test_and_after_a_review_to_production(
    runner: Runner, github: GitHub, bare_servers: Provisioned
) -> None:
    github.review("bob", comment="looks right")
    with command_lines() as seen:
        jobs = runner.run("test-deploy.yml", Event(message="Dice for everyone\n\nand more"))
    assert {name: job.status for name, job in jobs.items()} == {
        "build": "success",
        "through-portal": "skipped",
        "test-from-runner": "success",
        "production-from-runner": "success",
    }, "\n".join(job.output for job in jobs.values())
    test, production = bare_servers.machines
    assert version_on(test) == version_on(production) == "1.0.0"
    plan = runs(production)[0]["plan"]
    assert (plan["actor"], plan["approved_by"]) == ("github:alice", ["github:bob"])
    assert plan["reason"].startswith(f"Dice for everyone ({RUN_PAGE}")
    assert not [job.left for job in jobs.values() if job.left]
    key = bare_servers.private_key.splitlines()[2]
    assert any("github_deploy" in line for line in seen)
    assert not [line for line in seen if key in line]
    summary = jobs["production-from-runner"].summary
    assert "approved by github:bob" in summary
    assert "| production-1 | nothing |" in summary
    assert "8 files new" in summary


def test_only_changes_travel_a_red_release_is_reverted_with_code_5_and_a_portal_learns_of_both(
    runner: Runner, built: Built, repository: Repository, bare_servers: Provisioned, tmp_path: Path, migrated: Path
) -> None:
    runner.variables = {"DEPLOY_FROM_RUNNER": "test"}
    runner.artifacts["release"] = built.artifact
    test = bare_servers.machines[0]
    first = runner.run("test-deploy.yml", Event(inputs={"reason": "first"}), done={"build": built.job})
    assert first["test-from-runner"].status == "success", first["test-from-runner"].output
    assert first["production-from-runner"].status == "skipped"

    repository.commit("1.1.0", WRONG_VERSION)
    red = runner.run("test-deploy.yml", Event())["test-from-runner"]
    assert (red.status, red.code) == ("failure", 5), red.output
    assert version_on(test) == "1.0.0"
    assert test.root(["systemctl", "is-active", "dice-bot"]).stdout.strip() == b"active"
    assert "Failed and rolled back" in red.summary
    assert "0 files new, 3 changed, 0 gone" in red.summary
    before, after = runs(test)
    assert (after["fence"], before["plan"]["reason"][:5]) == (before["fence"] + 1, "first")
    assert int(after["deployment"]) > int(before["deployment"])
    staged = [record for record in journal(test) if record.get("step") == "stage" and record["state"] == "ok"]
    assert [record["facts"]["received"] for record in staged] == [8, 3]

    portal = Portal(tmp_path / "portal")
    portal.state.mkdir()
    portal.prepare(bare_servers, migrated)
    adopted = portal.manage("adopt", "dice-test")
    assert adopted.returncode == 0, adopted.stderr
    assert "dice-test runs 1.0.0-" in adopted.stdout
    history = json.loads(portal.manage("history", "test", "--json").stdout)
    assert [(row["exit_code"], row["requested_by"]) for row in history] == [(5, "github:alice"), (0, "github:alice")]


def test_a_wrong_host_key_stops_it_before_anything_is_sent(
    runner: Runner, built: Built, bare_servers: Provisioned
) -> None:
    test, production = bare_servers.machines
    runner.artifacts["release"] = built.artifact
    runner.secrets = {"test": {**runner.secrets["test"], "TEST_SERVER_HOST_KEY": production.host_key}}
    before = logins(test)
    job = runner.run("test-deploy.yml", Event(), done={"build": built.job})["test-from-runner"]
    assert (job.status, job.code) == ("failure", 1)
    assert "is pinned; nothing was sent to it" in job.output
    assert logins(test) == before
    assert journal(test) == []
    assert "Nothing was deployed to test" in job.summary


def test_whoever_started_the_run_cannot_approve_production(
    runner: Runner, built: Built, github: GitHub, bare_servers: Provisioned
) -> None:
    github.review("Alice")
    runner.artifacts["release"] = built.artifact
    done = {"build": built.job, "test-from-runner": built.job}
    job = runner.run("test-deploy.yml", Event(), done=done)["production-from-runner"]
    assert (job.status, job.code) == ("failure", 1)
    assert "cannot be the one who approves it" in job.output
    production = bare_servers.machines[1]
    assert journal(production) == []


def test_a_tag_whose_commit_has_that_version_reaches_production(
    runner: Runner, repository: Repository, github: GitHub, bare_servers: Provisioned
) -> None:
    github.review("bob")
    repository.tag("v1.0.0")
    repository.commit("1.1.0", message="not in the tag")
    jobs = runner.run("prod-deploy.yml", Event(ref_name="v1.0.0"))
    assert jobs["from-runner"].status == "success", "\n".join(job.output for job in jobs.values())
    production = bare_servers.machines[1]
    assert version_on(production) == "1.0.0"
    assert runs(production)[0]["plan"]["reason"].startswith("Tag v1.0.0 (")

    repository.tag("v9.9.9")
    jobs = runner.run("prod-deploy.yml", Event(inputs={"version": "9.9.9", "reason": "now"}))
    assert (jobs["version"].status, jobs["version"].code) == ("failure", 2)
    assert "has another VERSION" in jobs["version"].output
    assert jobs["from-runner"].status == "skipped"

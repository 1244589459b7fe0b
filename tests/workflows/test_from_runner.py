"""Deploying straight from the runner, to real servers."""

import json

import pytest

from sandbox.hosts import Host
from tests.fixtures.fleet import TREE, Provisioned
from tests.workflows.github import GitHub
from tests.workflows.jobs import Event, Runner
from tests.workflows.repositories import Repository

pytestmark = pytest.mark.hosts


def version_on(machine: Host) -> str:
    """The version that the host's `current` leads to; empty when there is none."""
    done = machine.root(["readlink", f"{TREE}/current"], check=False)
    return done.stdout.decode().strip().removeprefix("releases/").rpartition("-")[0]


def journal(machine: Host) -> list[dict]:
    """What the server remembers."""
    done = machine.root(["cat", f"{TREE}/.deploy/journal.jsonl"], check=False)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_push_is_built_once_deployed_to_test_and_after_a_review_to_production(
    runner: Runner, repository: Repository, github: GitHub, bare_servers: Provisioned
) -> None:
    github.review("bob", comment="looks right")
    jobs = runner.run("test-deploy.yml", Event(message="Dice for everyone\n\nand more"))
    assert {name: job.status for name, job in jobs.items()} == {
        "build": "success",
        "through-portal": "skipped",
        "test-from-runner": "success",
        "production-from-runner": "success",
    }, "\n".join(job.output for job in jobs.values())
    test, production = bare_servers.machines
    assert version_on(test) == version_on(production) == "1.0.0"
    run = next(record for record in journal(production) if record["kind"] == "run")
    assert run["plan"]["actor"] == "github:alice"
    assert run["plan"]["approved_by"] == ["github:bob"]
    assert run["plan"]["reason"].startswith("Dice for everyone (https://github.com/octo-org/octo-repo/actions/runs/")
    print(jobs["production-from-runner"].summary, jobs["production-from-runner"].output)

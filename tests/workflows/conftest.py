"""Workflows with everything around them: a repository, a runner, GitHub, and real servers."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fixtures.fleet import Provisioned, clean
from tests.workflows.github import GitHub, serving
from tests.workflows.jobs import Event, JobResult, Runner, python_for_jobs
from tests.workflows.repositories import Repository


@dataclass(frozen=True)
class Built:
    """A build job that was done, and the directory of its artifact."""

    job: JobResult
    artifact: Path


@pytest.fixture(scope="session")
def job_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One Python for all jobs of this process, so that packages are installed once."""
    return python_for_jobs(tmp_path_factory.mktemp("python") / "3.11")


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """Ours, with the example bot as its application, at version 1.0.0; not to be changed."""
    return Repository(tmp_path_factory.mktemp("pristine") / "repository")


@pytest.fixture
def repository(pristine: Repository, tmp_path: Path) -> Repository:
    """A clone of it."""
    return pristine.clone(tmp_path / "repository")


@pytest.fixture(scope="session")
def built(pristine: Repository, job_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The build job of version 1.0.0, done once, and the artifact it left."""
    runner = Runner(pristine.path, tmp_path_factory.mktemp("built"), job_python)
    runner.variables = {"DEPLOY_FROM_RUNNER": "production"}
    job = runner.run("test-deploy.yml", Event(), only=("build",))["build"]
    assert job.status == "success", job.output
    return Built(job, runner.artifacts["release"])


@pytest.fixture
def github() -> Iterator[GitHub]:
    """GitHub's API. alice starts runs; nobody has reviewed anything."""
    with serving(GitHub()) as github:
        yield github


@pytest.fixture
def bare_servers(provisioned: Provisioned) -> Provisioned:
    """Two provisioned servers on which nothing runs: the first is test, the second production."""
    for machine in provisioned.machines:
        clean(machine)
    return provisioned


@pytest.fixture
def runner(
    repository: Repository, github: GitHub, bare_servers: Provisioned, job_python: Path, tmp_path: Path
) -> Runner:
    """A runner that deploys without a portal, with the secrets of design and documentation."""
    test, production = bare_servers.machines
    (tmp_path / "work").mkdir()
    return Runner(
        repository=repository.path,
        work=tmp_path / "work",
        python=job_python,
        secrets={
            "test": {
                "SSH_KEY_TEST": bare_servers.private_key,
                "TEST_SERVER_HOST": test.address,
                "TEST_SERVER_USER": "rosey",
                "TEST_SERVER_HOST_KEY": test.host_key,
            },
            "production": {
                "SSH_KEY_PROD": bare_servers.private_key,
                "PROD_SERVER_HOST": production.address,
                "PROD_SERVER_USER": "rosey",
                "PROD_SERVER_HOST_KEY": production.host_key,
            },
        },
        variables={"DEPLOY_FROM_RUNNER": "production"},
        api_url=github.url,
    )

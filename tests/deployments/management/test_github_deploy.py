"""Deploying from a runner: what is refused before and after the server is asked, on real servers."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deployments.models import Deployment, Server
from engine.artifacts.artifact import Artifact, build_artifact
from engine.artifacts.wheels import DirectoryWheels
from sandbox.hosts import Host
from tests.deployments.management.commands import exit_code
from tests.fixtures.fleet import Fleet
from tests.fixtures.records import EXAMPLE
from tests.workflows.github import GitHub, serving
from tests.workflows.jobs import REPOSITORY, RUN_ID, TOKEN
from tests.workflows.servers import journal, version_on

pytestmark = pytest.mark.hosts

Give = Callable[[str, Host], None]


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """The example bot, built elsewhere."""
    return build_artifact(EXAMPLE, "HEAD", DirectoryWheels(EXAMPLE), tmp_path_factory.mktemp("built"))


@pytest.fixture
def give(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> Give:
    """`give("TEST", machine)`: the four secrets of an environment as variables."""
    for name in ("GITHUB_RUN_ID", "GITHUB_STEP_SUMMARY", "GITHUB_ACTIONS"):
        monkeypatch.delenv(name, raising=False)

    def set_all(prefix: str, machine: Host) -> None:
        monkeypatch.setenv(f"SSH_KEY_{prefix}", fleet.provisioned.private_key)
        monkeypatch.setenv(f"{prefix}_SERVER_HOST", machine.address)
        monkeypatch.setenv(f"{prefix}_SERVER_USER", "rosey")
        monkeypatch.setenv(f"{prefix}_SERVER_HOST_KEY", machine.host_key)

    return set_all


@pytest.fixture
def github(monkeypatch: pytest.MonkeyPatch) -> Iterator[GitHub]:
    """A run that alice started."""
    with serving(GitHub()) as github:
        for name, value in {
            "GITHUB_RUN_ID": RUN_ID,
            "GITHUB_REPOSITORY": REPOSITORY,
            "GITHUB_TOKEN": TOKEN,
            "GITHUB_API_URL": github.url,
        }.items():
            monkeypatch.setenv(name, value)
        yield github


def deploy(artifact: Artifact, environment: str = "test", **changed: str) -> tuple[int, str]:
    """Exit code and everything that was printed."""
    out, err = io.StringIO(), io.StringIO()
    sha256 = changed.get("sha256", artifact.sha256)
    argv = ("github_deploy", environment, "--artifact", str(artifact.path), "--sha256", sha256)
    code = exit_code(*argv, out=out, err=err)
    return code, out.getvalue() + err.getvalue()


def test_without_github_the_login_of_the_shell_deploys_to_test(fleet: Fleet, give: Give, artifact: Artifact) -> None:
    give("TEST", fleet.machines[0])
    code, said = deploy(artifact)
    assert code == 0, said
    assert version_on(fleet.machines[0]) == "1.0.0"
    deployment = Deployment.objects.get()
    assert deployment.requested_by.startswith("shell:")
    assert deployment.pk > 1_700_000_000_000  # milliseconds: no other database has had this number


def test_production_needs_a_workflow_run_that_somebody_else_reviewed(
    fleet: Fleet, give: Give, artifact: Artifact
) -> None:
    give("PROD", fleet.machines[1])
    assert deploy(artifact, "production")[0] == 1
    assert journal(fleet.machines[1]) == []
    assert not Server.objects.exists()


def test_a_rejected_run_ends_with_4_and_a_reviewed_one_deploys(
    fleet: Fleet, give: Give, artifact: Artifact, github: GitHub
) -> None:
    give("PROD", fleet.machines[1])
    github.review("bob", state="rejected", comment="not on a Friday")
    assert deploy(artifact, "production")[0] == 4
    assert journal(fleet.machines[1]) == []
    github.reviews.clear()
    github.review("carol")
    code, said = deploy(artifact, "production")
    assert code == 0, said
    deployment = Deployment.objects.get()
    assert deployment.requested_by == "github:alice"
    assert [row.actor for row in deployment.approvals.all()] == ["github:carol"]


def test_an_artifact_with_another_digest_is_not_deployed(fleet: Fleet, give: Give, artifact: Artifact) -> None:
    give("TEST", fleet.machines[0])
    assert deploy(artifact, sha256="0" * 64)[0] == 2
    assert journal(fleet.machines[0]) == []


def test_all_missing_secrets_are_named_at_once(
    fleet: Fleet, give: Give, artifact: Artifact, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    give("TEST", fleet.machines[0])
    monkeypatch.setenv("SSH_KEY_TEST", "")
    monkeypatch.delenv("TEST_SERVER_HOST_KEY")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary"))
    assert deploy(artifact)[0] == 2
    summary = (tmp_path / "summary").read_text()
    assert "SSH\\_KEY\\_TEST, TEST\\_SERVER\\_HOST\\_KEY" in summary


def test_a_server_that_was_never_provisioned_is_told_so(
    fleet: Fleet, give: Give, artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    give("TEST", fleet.machines[0])
    fleet.machines[0].root(["mv", "/opt/dice-bot/.deploy", "/opt/dice-bot/.away"])
    try:
        code, said = deploy(artifact)
    finally:
        fleet.machines[0].root(["mv", "/opt/dice-bot/.away", "/opt/dice-bot/.deploy"])
    assert code == 1
    assert "Run provision for this server" in said
    assert not Deployment.objects.exists()


def test_a_portals_database_is_not_used_for_it(fleet: Fleet, give: Give, artifact: Artifact) -> None:
    fleet.enrol()
    give("TEST", fleet.machines[0])
    assert deploy(artifact)[0] == 1
    assert journal(fleet.machines[0]) == []


def test_a_user_name_or_host_that_is_none_is_refused(
    fleet: Fleet, give: Give, artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    give("TEST", fleet.machines[0])
    for name, value in (
        ("TEST_SERVER_USER", "$(id)"),
        ("TEST_SERVER_HOST", "a b"),
        ("TEST_SERVER_HOST_KEY", "x"),
        ("SSH_KEY_TEST", "-----BEGIN"),
    ):
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            assert deploy(artifact)[0] in {1, 2}, name
    assert not Deployment.objects.exists()

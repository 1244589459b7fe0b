"""Versions, reasons and names that would like to be commands: they reach no shell, through whichever door they come."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from deployments.access.policy import user_actor
from deployments.access.tokens import issue_token
from deployments.execution.run import execute
from deployments.models import Deployment, Scope
from tests.deployments.management.commands import exit_code
from tests.fixtures.fleet import Fleet, Provisioned
from tests.workflows.conftest import Built
from tests.workflows.jobs import Event, Runner
from tests.workflows.repositories import Repository
from tests.workflows.servers import runs

MARK = Path("/tmp/hostile-input-reached-a-shell")
TOUCH = f"touch {MARK}"
HOSTILE = [
    f"$({TOUCH})",
    f"`{TOUCH}`",
    f"'; {TOUCH}; '",
    f'"; {TOUCH}; "',
    f"1.0.0\n{TOUCH}",
    f"1.0.0; {TOUCH}",
    f"1.0.0 && {TOUCH}",
    f"--reason=$({TOUCH})",
    f"1.0.0|{TOUCH}",
    "1.0.0\n::set-output name=version::2.0.0",
    "../../../etc/passwd",
    f"%0A::warning::$IFS$({TOUCH})",
    "-rf",
    "${{ secrets.SSH_KEY_TEST }}",
]


@pytest.fixture(autouse=True)
def no_shell_was_reached(request: pytest.FixtureRequest) -> Iterator[None]:
    """Neither here nor on a server has the mark been made."""
    MARK.unlink(missing_ok=True)
    yield
    assert not MARK.exists()
    if "bare_servers" in request.fixturenames or "fleet" in request.fixturenames:
        machines = request.getfixturevalue("provisioned").machines
        for machine in machines:
            assert machine.root(["test", "-e", str(MARK)], check=False).returncode == 1


@pytest.mark.parametrize("version", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_version_is_no_version(pristine: Repository, job_python: Path, tmp_path: Path, version: str) -> None:
    runner = Runner(pristine.path, tmp_path, job_python, variables={"DEPLOY_FROM_RUNNER": "production"})
    for event in (Event(inputs={"version": version, "reason": "x"}), Event(ref_name=f"v{version}")):
        jobs = runner.run("prod-deploy.yml", event)
        assert (jobs["version"].status, jobs["version"].code) == ("failure", 2), jobs["version"].output
        assert version not in jobs["version"].output
        assert jobs["from-runner"].status == jobs["build"].status == "skipped"


@pytest.mark.hosts
def test_hostile_reasons_and_branches_are_texts_to_a_workflow(
    runner: Runner, built: Built, bare_servers: Provisioned
) -> None:
    runner.artifacts["release"] = built.artifact
    one_line = " ".join(text.replace("\n", " ") for text in HOSTILE)[:400]
    event = Event(ref_name=f"main$({TOUCH})", inputs={"reason": one_line})
    job = runner.run("test-deploy.yml", event, done={"build": built.job})["test-from-runner"]
    assert job.status == "success", job.output
    assert runs(bare_servers.machines[0])[0]["plan"]["reason"].startswith(one_line.strip())
    assert not [line for line in (job.output + job.summary).splitlines() if line.lstrip().startswith("::")]


def kept(reason: str) -> str:
    """A reason is one line: nothing of it begins another one in a notification."""
    return " ".join(reason.split())


@pytest.mark.hosts
def test_hostile_reasons_and_releases_are_texts_to_the_command_line(fleet: Fleet) -> None:
    fleet.enrol()
    fleet.release("1.0.0")
    for text in HOSTILE:
        assert exit_code("deploy", "test", f"--release={text}") == 2
        assert exit_code("deploy", text if not text.startswith("-") else f"x{text}") == 2
    reason = "".join(HOSTILE)[:480]
    out = io.StringIO()
    assert exit_code("deploy", "test", "--inline", "--json", f"--reason={reason}", out=out) == 0
    assert json.loads(out.getvalue())["reason"] == kept(reason)
    assert runs(fleet.machines[0])[0]["plan"]["reason"] == kept(reason)


@pytest.mark.hosts
def test_hostile_reasons_and_releases_are_texts_to_the_api(
    fleet: Fleet, client: Client, settings: Any, tmp_path: Path
) -> None:
    settings.STATIC_ROOT = tmp_path / "static"
    settings.STATIC_ROOT.mkdir()
    fleet.enrol()
    fleet.release("1.0.0")
    olga = User.objects.create_user("olga")
    olga.groups.set(Group.objects.filter(name="operator"))
    _, token = issue_token(actor=user_actor(olga), name="t", scopes=[Scope.DEPLOY], owner=olga)

    def ask(**body: str) -> tuple[int, dict[str, object]]:
        answer = client.post(
            "/api/v1/deployments", body, content_type="application/json", headers={"Authorization": f"Bearer {token}"}
        )
        return answer.status_code, answer.json()

    for text in HOSTILE:
        assert ask(environment="test", release=text)[0] in {404, 422}
        assert ask(environment=text, release="1.0.0")[0] in {404, 422}
    reason = "".join(HOSTILE)[:480]
    status, document = ask(environment="test", release="1.0.0", reason=reason)
    assert (status, document["reason"]) == (201, kept(reason))
    deployment = Deployment.objects.get()
    execute(deployment.pk)
    deployment.refresh_from_db()
    assert deployment.status == "succeeded", deployment.sentence
    assert runs(fleet.machines[0])[0]["plan"]["reason"] == kept(reason)

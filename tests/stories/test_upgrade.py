"""A portal that 0.1.0 left, with a request that waits for approval, goes on with today's code."""

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
RECORDED = ROOT / "tests" / "data" / "recorded-installation" / "state.tar.xz"
KEYS = {
    "PORTAL_SECRET_KEY": "a key of a recorded installation, of no use anywhere",
    "PORTAL_ENCRYPTION_KEYS": "cmVjb3JkZWQtaW5zdGFsbGF0aW9uLW5vLXVzZS0xMjM=",
}
WAITING = 5
PROLOGUE = """
import json
from django.contrib.auth.models import User
from django.utils import timezone
from deployments.access.policy import user_actor
from deployments.core.actors import system_actor
from deployments.execution.claims import claim
from deployments.execution.finish import finish
from deployments.lifecycle import Status, TargetStatus
from deployments.models import ApiToken, Deployment, Environment, Release, Server
from deployments.requests.approvals import approve
from deployments.requests.requests import request_deployment
from deployments.requests.rollbacks import request_rollback
def person(name): return user_actor(User.objects.get(username=name))
def succeed(row):
    claimed = claim(row.pk)
    assert claimed is not None, Deployment.objects.get(pk=row.pk).sentence
    claimed.deployment.targets.update(status=TargetStatus.SUCCEEDED, finished_at=timezone.now())
    finish(actor=system_actor("worker"), deployment=claimed.deployment, status=Status.SUCCEEDED, outcome="verified",
           sentence="It runs.", claim=claimed.token)
    return Deployment.objects.get(pk=row.pk)
production = Environment.objects.get(name="production")
"""


class Installation:
    """The recorded state in a directory of its own, and today's program on it."""

    tidied: dict[str, Any]

    def __init__(self, state: Path) -> None:
        with tarfile.open(RECORDED) as recorded:
            recorded.extractall(state, filter="data")
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("PORTAL_", "DATABASE_"))},
            **KEYS,
            "PORTAL_STATE_DIR": str(state),
            "DJANGO_SETTINGS_MODULE": "portal.settings",
        }

    def manage(self, *command: str) -> str:
        """A management command; it must succeed."""
        done = subprocess.run(
            [sys.executable, "manage.py", *command],
            cwd=ROOT,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def ask(self, program: str) -> Any:
        """What a program in the portal's own process prints as its last line, as JSON."""
        return json.loads(self.manage("shell", "--no-imports", "--command", PROLOGUE + program).splitlines()[-1])


@pytest.fixture(scope="module")
def upgraded(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """Migrated as a start of the portal migrates."""
    installation = Installation(tmp_path_factory.mktemp("recorded"))
    installation.manage("migrate", "--verbosity", "0")
    installation.tidied = json.loads(installation.manage("storage", "prune", "--json"))
    return installation


def test_nothing_is_lost_and_the_trail_is_whole(upgraded: Installation) -> None:
    counted = upgraded.ask(
        "print(json.dumps([Deployment.objects.filter(pk__lte=5).count(), Release.objects.count(), "
        "Server.objects.count(), ApiToken.objects.count()]))"
    )
    assert counted == [5, 3, 2, 2]
    assert json.loads(upgraded.manage("audit", "verify", "--json"))["whole"] is True


def test_its_artifacts_share_what_they_have_in_common(upgraded: Installation) -> None:
    assert upgraded.tidied["taken_apart"] == 3
    assert upgraded.tidied["releases"] == []


def test_a_request_that_waited_is_approved_carried_out_and_gone_back_from(upgraded: Installation) -> None:
    ended = upgraded.ask(
        f"""
row = Deployment.objects.get(pk={WAITING})
assert row.status == Status.AWAITING_APPROVAL
approve(actor=person("anna"), deployment=row, comment="after the upgrade")
row = succeed(row)
back = request_rollback(actor=person("olga"), environment=production, reason="as before")
back = succeed(back)
print(json.dumps([row.status, row.release.version, back.status, back.release.version, back.kind]))
"""
    )
    assert ended == ["succeeded", "1.2.0", "succeeded", "1.1.0", "rollback"]
